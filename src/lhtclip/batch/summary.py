"""The outcome of a run and of each of its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """The outcome for one image.

    Attributes:
        image: Its path.
        outputs: Its files by format.
        skipped: Whether it was done in an earlier run.
        error: Why it could not be labelled; None if it was.
        width: Pixels; None if it could not be labelled.
        height: Pixels.
        coverage: Share of each class, in [0, 1].
    """

    image: Path
    outputs: Mapping[str, tuple[Path, ...]]
    skipped: bool = False
    error: str | None = None
    width: int | None = None
    height: int | None = None
    coverage: Mapping[str, float] | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files."""
        return tuple(path for paths in self.outputs.values() for path in paths)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The outcome of a run.

    Attributes:
        record: The content of `classes.json`.
        images: The outcome for each image, in the order of the images.
        files: Files about the whole run.
    """

    record: Mapping[str, Any]
    images: tuple[LabelledImage, ...]
    files: tuple[Path, ...] = ()

    @property
    def failures(self) -> tuple[LabelledImage, ...]:
        """The images that could not be labelled."""
        return tuple(image for image in self.images if image.error is not None)
