"""`labels`: a PNG file an image, whose pixel values are the class indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.png import encode_labels
from lhtclip.segmentation import Segmentation


class Labels(Sink):
    """<name>.png; beyond 255 classes it is 16-bit greyscale, whatever the mode."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (image.result(".png"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the indices."""
        grey = self.options.mode == "grey"
        return (encode_labels(result.labels, None if grey else result.colours, palette=not grey),)

    def settings(self) -> dict[str, Any]:
        """Depend on the mode."""
        return {"mode": self.options.mode}
