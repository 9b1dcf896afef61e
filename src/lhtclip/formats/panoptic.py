"""`panoptic`: COCO's panoptic PNG files and their JSON; every class is stuff."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.formats.sink import ImageName, Parts, Sink
from lhtclip.output.annotations.panoptic import categories, segment_ids, segments
from lhtclip.segmentation import Segmentation

_PNGS = PurePosixPath("panoptic/annotations/panoptic_default")


class Panoptic(Sink):
    """panoptic/annotations/panoptic_default/<name>.png, and panoptic_default.json next to it."""

    names_inside = True

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (_PNGS / image.result(".png"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the segment ids."""
        return (segment_ids(result.labels, len(result.names)),)

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (_PNGS.with_suffix(".json"),)

    def part(self, image: ImageName, result: Segmentation) -> Any:
        """Return the segments."""
        return segments(result.labels, len(result.names))

    def assemble(self, parts: Parts) -> Iterable[Iterable[bytes]]:
        """Number images in order."""
        return (self._document(parts),)

    def _document(self, parts: Parts) -> Iterator[bytes]:
        yield b'{"info":{"description":"lhtclip"},"licenses":[],"categories":'
        yield _text(categories(self.classes)) + b',"images":['
        for index, part in enumerate(parts):
            name = part.image.path.as_posix()
            entry = {
                "id": index + 1,
                "file_name": name,
                "width": part.width,
                "height": part.height,
            }
            yield (b"," if index else b"") + _text(entry)
        yield b'],"annotations":['
        for index, part in enumerate(parts):
            name = part.image.result(".png").as_posix()
            entry = {"image_id": index + 1, "file_name": name, "segments_info": part.content}
            yield (b"," if index else b"") + _text(entry)
        yield b"]}\n"


def _text(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
