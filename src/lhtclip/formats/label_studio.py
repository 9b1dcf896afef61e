"""`label-studio`: tasks with predictions for Label Studio, and the labelling interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from lhtclip.formats.sink import ImageName, Parts, Sink
from lhtclip.output.annotations.label_studio import interface, task
from lhtclip.segmentation import Segmentation

_FOLDER = PurePosixPath("label-studio")


class LabelStudio(Sink):
    """label-studio/tasks.json and label-studio/interface.xml."""

    names_inside = True

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (_FOLDER / "tasks.json", _FOLDER / "interface.xml")

    def part(self, image: ImageName, result: Segmentation) -> Any:
        """Return the task as text."""
        return task(
            self.regions(result),
            self.classes,
            image=self.options.image_url + quote(image.path.as_posix()),
            model_version="lhtclip",
            shape=self.options.shape,
            tolerance=self.options.tolerance,
        )

    def assemble(self, parts: Parts) -> Iterable[bytes | Iterable[bytes]]:
        """List the tasks, and describe the interface."""
        return (_tasks(parts), interface(self.classes, shape=self.options.shape).encode())

    def settings(self) -> dict[str, Any]:
        """Return the options of regions, and where images are found."""
        return {**self.region_settings(), "image_url": self.options.image_url}


def _tasks(parts: Parts) -> Iterator[bytes]:
    yield b"["
    for index, part in enumerate(parts):
        yield (b",\n" if index else b"\n") + part.content.encode()
    yield b"\n]\n"
