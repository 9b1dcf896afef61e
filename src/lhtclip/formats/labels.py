"""`labels`: a PNG file per image, whose pixel values are the class indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.annotations.classes import shifted
from lhtclip.output.png import encode_labels
from lhtclip.output.png_names import with_names
from lhtclip.segmentation import Segmentation


class Labels(Sink):
    """<name>.png; with more than 255 classes 16-bit greyscale in every mode."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (image.result(".png"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the indices, with the names of the classes inside."""
        first = self.options.first_index
        labels = shifted(result.labels, first, classes=len(result.names))
        colours = np.concatenate([np.zeros((first, 3), dtype=np.uint8), result.colours])
        png = encode_labels(labels, colours, palette=self.options.mode == "palette")
        return (with_names(png, result.names, background=result.background, first_index=first),)

    def settings(self) -> dict[str, Any]:
        """Return the mode and the first index."""
        return {"mode": self.options.mode, "first_index": self.options.first_index}
