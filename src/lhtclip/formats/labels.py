"""`labels`: a PNG file per image, whose pixel values are the class indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.png import encode_labels
from lhtclip.segmentation import Segmentation


class Labels(Sink):
    """<name>.png; with more than 255 classes 16-bit greyscale in every mode."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (image.result(".png"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the indices."""
        grey = self.options.mode == "grey"
        return (encode_labels(result.labels, None if grey else result.colours, palette=not grey),)

    def settings(self) -> dict[str, Any]:
        """Return the mode."""
        return {"mode": self.options.mode}
