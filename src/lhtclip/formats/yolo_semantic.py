"""`yolo-semantic`: a data set folder for Ultralytics' semantic segmentation, grey label PNGs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np

from lhtclip.errors import InputError
from lhtclip.formats.pictures import picture_of
from lhtclip.formats.sink import ImageName, Parts, Sink
from lhtclip.output.annotations.yolo import data_yaml
from lhtclip.output.png import encode_labels
from lhtclip.segmentation import Segmentation

_FOLDER = PurePosixPath("yolo-semantic")


class YoloSemantic(Sink):
    """yolo-semantic/images/<name>.jpg, yolo-semantic/masks/<name>.png and yolo-semantic/data.yaml.

    Values of the masks are class indices from 0, and 255 where a pixel is ignored.
    """

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (_FOLDER / "images" / image.result(".jpg"), _FOLDER / "masks" / image.result(".png"))

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the picture and the labels.

        Raises:
            InputError: There are more classes than a byte can tell apart, or no picture.
        """
        if result.labels.dtype != np.uint8:
            raise InputError(
                f"Ultralytics' masks have room for 255 classes, got {len(result.names)}. Use fewer."
            )
        return (picture_of(result), encode_labels(result.labels, palette=False))

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (_FOLDER / "data.yaml",)

    def assemble(self, parts: Parts) -> Iterable[bytes]:
        """Describe the data set."""
        return (data_yaml(list(self.classes.names), masks="masks").encode(),)
