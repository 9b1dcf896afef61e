"""`binary`: a PNG file per image and class, 255 for the class and 0 elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.png import encode_binary
from lhtclip.segmentation import Segmentation

_SLUG_LENGTH = 40


class Binary(Sink):
    """<name>.<class>.mask.png, for every class."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file per class, in the order of the classes."""
        slugs = slugs_of(self.vocabulary.names)
        return tuple(image.result(f".{slug}.mask.png") for slug in slugs)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the masks."""
        return (encode_binary(result.mask(each)) for each in result.names)


def slugs_of(names: Sequence[str]) -> tuple[str, ...]:
    """Make distinct file-name parts of class names: "Man in a shirt" -> "man-in-a-shirt"."""
    slugs: dict[str, None] = {}
    for index, name in enumerate(names):
        words = "".join(c if c.isalnum() else " " for c in name.casefold()).split()
        slug = "-".join(words)[:_SLUG_LENGTH].rstrip("-") or f"class-{index}"
        while slug in slugs:
            slug = f"{slug}-{index}"
        slugs[slug] = None
    return tuple(slugs)
