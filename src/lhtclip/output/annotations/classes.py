"""Number the classes of a run for other programs, without the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import InputError
from lhtclip.output.palette import class_colours
from lhtclip.regions.runs import Labels

IGNORED_BYTE = 255


@dataclass(frozen=True, slots=True)
class ClassList:
    """The classes of a run.

    Attributes:
        names: Names in the order of the indices.
        background: Index of the class "none of the others", if there is one.
    """

    names: tuple[str, ...]
    background: int | None = None

    @property
    def objects(self) -> tuple[int, ...]:
        """Indices of all classes except the background."""
        return tuple(index for index in range(len(self.names)) if index != self.background)

    @property
    def number(self) -> dict[int, int]:
        """Position of each object class among the objects, from 0, by class index."""
        return {index: place for place, index in enumerate(self.objects)}

    @property
    def colours(self) -> NDArray[np.uint8]:
        """The sRGB colour of each class (classes, 3), including the background."""
        return class_colours(len(self.names), background=self.background)

    def with_background_first(self, labels: Labels, *, program: str) -> NDArray[np.uint8]:
        """Number the objects from 1; the background is 0 and ignored pixels are 255.

        Args:
            labels: Class indices (height, width).
            program: Name of the program, for messages.

        Raises:
            InputError: There are more classes than fit into a byte.
        """
        if len(self.objects) > IGNORED_BYTE - 1:
            raise InputError(
                f"{program} has room for {IGNORED_BYTE - 1} classes besides the background, got "
                f"{len(self.objects)}. Use fewer classes, or the format coco or panoptic."
            )
        table = np.full(int(np.iinfo(labels.dtype).max) + 1, IGNORED_BYTE, dtype=np.uint8)
        table[list(self.objects)] = np.arange(1, len(self.objects) + 1)
        if self.background is not None:
            table[self.background] = 0
        return table[labels]


def shifted(labels: Labels, first_index: int, *, classes: int) -> NDArray[Any]:
    """Number classes from 0 or 1; with 1, the value 0 means "ignored".

    With 255 classes labels become 16-bit, since programs take a byte of 255 for ignored.
    """
    if first_index == 0:
        return labels
    ignored = int(np.iinfo(labels.dtype).max)
    moved = labels.astype(np.uint16 if classes >= IGNORED_BYTE else np.uint8) + 1
    return np.where(labels == ignored, 0, moved).astype(moved.dtype)


def unshifted(labels: Labels, first_index: int) -> Labels:
    """Undo `shifted`: values from 1 become class indices, and 0 becomes "ignored"."""
    if first_index == 0:
        return labels
    return np.where(labels == 0, np.iinfo(labels.dtype).max, labels - 1).astype(labels.dtype)
