"""`yolo`: a data set folder for Ultralytics' instance segmentation, outlines as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.formats.pictures import picture_of
from lhtclip.formats.sink import ImageName, Parts, Sink
from lhtclip.output.annotations.yolo import data_yaml, outlines
from lhtclip.segmentation import Segmentation

_FOLDER = PurePosixPath("yolo")


class Yolo(Sink):
    """yolo/images/<name>.jpg, yolo/labels/<name>.txt and yolo/data.yaml."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (
            _FOLDER / "images" / image.result(".jpg"),
            _FOLDER / "labels" / image.result(".txt"),
        )

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the picture and the outlines."""
        text = outlines(self.regions(result), self.classes, tolerance=self.options.tolerance)
        return (picture_of(result), text.encode())

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (_FOLDER / "data.yaml",)

    def assemble(self, parts: Parts) -> Iterable[bytes]:
        """Describe the data set."""
        names = [self.classes.names[index] for index in self.classes.objects]
        return (data_yaml(names).encode(),)

    def settings(self) -> dict[str, Any]:
        """Return the options of outlines."""
        return {"tolerance": self.options.tolerance, "least_area": self.options.least_area}
