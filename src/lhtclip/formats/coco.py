"""`coco`: one JSON file with the connected regions of all images as COCO's instances.

It lies where CVAT's import format "COCO 1.0" looks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.formats.sink import ImageName, Parts, Sink
from lhtclip.output.annotations.coco import describe, document
from lhtclip.segmentation import Segmentation


class Coco(Sink):
    """coco/annotations/instances_default.json."""

    names_inside = True

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (PurePosixPath("coco/annotations/instances_default.json"),)

    def part(self, image: ImageName, result: Segmentation) -> Any:
        """Return the annotations."""
        return describe(
            self.regions(result),
            self.classes,
            shape=self.options.shape,
            tolerance=self.options.tolerance,
        )

    def assemble(self, parts: Parts) -> Iterable[Iterable[bytes]]:
        """Number images and annotations in order."""
        settings = ", ".join(f"{name} {value}" for name, value in self.settings().items())
        return (document(_Images(parts), self.classes, description=f"lhtclip: {settings}"),)

    def settings(self) -> dict[str, Any]:
        """Return the options of regions."""
        return self.region_settings()


class _Images:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[tuple[str, int, int, Any]]:
        return (
            (part.image.path.as_posix(), part.width, part.height, part.content)
            for part in self._parts
        )
