"""`overlay`: a JPEG file per image to look at, tinted by class, with a legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lhtclip.errors import InputError
from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.jpeg import LONGEST_SIDE, encode_photo
from lhtclip.segmentation import Segmentation


class Overlay(Sink):
    """<name>.overlay.jpg."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (image.result(".overlay.jpg"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Draw and encode.

        Raises:
            InputError: The overlay is larger than a JPEG file can be.
        """
        picture = result.overlay()
        if max(picture.size) > LONGEST_SIDE:
            raise InputError(
                f"The overlay would have {picture.width} x {picture.height} pixels, but a side of "
                f"a JPEG file has at most {LONGEST_SIDE}. Leave out the format 'overlay' for this "
                "image, or make the image smaller."
            )
        return (encode_photo(picture),)
