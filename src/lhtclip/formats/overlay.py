"""`overlay`: a JPEG file per image to look at, tinted by class, with a legend."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.errors import InputError, listed
from lhtclip.formats.sink import ImageName, OutputOptions, Sink
from lhtclip.output.jpeg import LONGEST_SIDE, encode_photo
from lhtclip.output.legend_names import lost_names, open_font
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Vocabulary

_ANY_SIZE = 13
_logger = logging.getLogger("lhtclip")


class Overlay(Sink):
    """<name>.overlay.jpg."""

    def __init__(self, vocabulary: Vocabulary, options: OutputOptions) -> None:
        """Open the font, and say which names it cannot write.

        Raises:
            InputError: The font cannot be read.
        """
        super().__init__(vocabulary, options)
        lost = lost_names(vocabulary.names, open_font(options.font, _ANY_SIZE))
        if lost:
            _logger.warning(
                "The legend's font lacks letters of %s: classes show their index. Another font "
                "helps (--font FILE, in Python OutputOptions(font=...)).",
                listed(lost, most=3),
            )

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (image.result(".overlay.jpg"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Draw and encode.

        Raises:
            InputError: The overlay is larger than a JPEG file can be.
        """
        picture = result.overlay(font=self.options.font)
        if max(picture.size) > LONGEST_SIDE:
            raise InputError(
                f"The overlay would have {picture.width} x {picture.height} pixels, but a side of "
                f"a JPEG file has at most {LONGEST_SIDE}. Leave out the format 'overlay' for this "
                "image, or make the image smaller."
            )
        return (encode_photo(picture),)

    def settings(self) -> dict[str, Any]:
        """Return the font."""
        return {"font": self.options.font} if self.options.font else {}
