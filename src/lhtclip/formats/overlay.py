"""`overlay`: a JPEG file an image, with the classes drawn over it and a legend, to look at."""

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
            InputError: The picture is longer or wider than a JPEG file can be.
        """
        picture = result.overlay()
        if max(picture.size) > LONGEST_SIDE:
            raise InputError(
                f"The overlay would have {picture.width} x {picture.height} pixels, and a side of "
                f"a JPEG file has {LONGEST_SIDE} at most. Leave the format 'overlay' out for this "
                "image, or make it smaller."
            )
        return (encode_photo(picture),)
