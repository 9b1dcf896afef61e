"""`hf`: an image folder for Hugging Face's `datasets`, with the columns `image` and `mask`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.formats.pictures import picture_of
from lhtclip.formats.sink import ImageName, Parts, Sink
from lhtclip.output.annotations.classes import shifted
from lhtclip.output.annotations.hugging_face import metadata_line
from lhtclip.output.png import encode_labels
from lhtclip.segmentation import Segmentation

_FOLDER = PurePosixPath("hf")
_IMAGES, _MASKS = PurePosixPath("images"), PurePosixPath("masks")


class HuggingFace(Sink):
    """hf/images/<name>.jpg, hf/masks/<name>.png, hf/metadata.jsonl and hf/id2label.json."""

    names_inside = True

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (
            _FOLDER / _IMAGES / image.result(".jpg"),
            _FOLDER / _MASKS / image.result(".png"),
        )

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the picture and the labels, in grey."""
        labels = shifted(result.labels, self.options.first_index, classes=len(result.names))
        return (picture_of(result), encode_labels(labels, palette=False))

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (_FOLDER / "metadata.jsonl", _FOLDER / "id2label.json")

    def assemble(self, parts: Parts) -> Iterable[bytes | Iterable[bytes]]:
        """Pair images and masks, and say what the values mean."""
        lines = (
            metadata_line(
                (_IMAGES / part.image.result(".jpg")).as_posix(),
                (_MASKS / part.image.result(".png")).as_posix(),
            ).encode()
            for part in parts
        )
        names = dict(enumerate(self.classes.names, start=self.options.first_index))
        return (lines, json.dumps(names, ensure_ascii=False, indent=2).encode() + b"\n")

    def settings(self) -> dict[str, Any]:
        """Return the first index."""
        return {"first_index": self.options.first_index}
