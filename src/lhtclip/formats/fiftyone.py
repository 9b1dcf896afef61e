"""`fiftyone`: a folder for FiftyOne's importer of image segmentation directories.

Classes count from 1, for its app does not show the value 0, which ignored pixels have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lhtclip.formats.pictures import picture_of
from lhtclip.formats.sink import ImageName, Parts, Sink
from lhtclip.output.annotations.classes import shifted
from lhtclip.output.annotations.fiftyone import mask_targets
from lhtclip.output.png import encode_labels
from lhtclip.segmentation import Segmentation

_FOLDER = PurePosixPath("fiftyone")


class FiftyOne(Sink):
    """fiftyone/data/<name>.jpg, fiftyone/labels/<name>.png and fiftyone/mask_targets.json."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (_FOLDER / "data" / image.result(".jpg"), _FOLDER / "labels" / image.result(".png"))

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the picture and the labels, in grey: palettes would be read as colours."""
        labels = shifted(result.labels, 1, classes=len(result.names))
        return (picture_of(result), encode_labels(labels, palette=False))

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (_FOLDER / "mask_targets.json",)

    def assemble(self, parts: Parts) -> Iterable[bytes]:
        """Say what the values mean."""
        targets = mask_targets(self.classes.names)
        return (json.dumps(targets, ensure_ascii=False, indent=2).encode() + b"\n",)
