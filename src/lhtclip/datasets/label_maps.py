"""Label maps: the ids that a publisher wrote become classes, and ids that cannot be are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.datasets.dataset import IGNORED, Truth
from lhtclip.errors import InputError
from lhtclip.image.opening import open_picture

_SHOWN = 8  # ids in a message


def read_ids(path: Path) -> NDArray[np.uint16]:
    """Read the ids (height, width) of a label map, a palette or a greyscale PNG.

    Raises:
        InputError: The file is missing, broken, or has colours in the place of ids.
    """
    with open_picture(path, formats=("PNG",)) as picture:
        if picture.mode not in ("P", "L", "I", "I;16", "I;16B", "1"):
            raise InputError(
                f"The label map {path} holds {picture.mode} colours; expected are class ids in "
                "one channel."
            )
        return np.array(picture).astype(np.uint16)


def read_truth(path: Path, classes: Mapping[int, int], expected: str) -> Truth:
    """Read a label map and turn its ids into classes; arguments and errors as for `to_classes`."""
    return to_classes(read_ids(path), classes, path=path, expected=expected)


def to_classes(
    ids: NDArray[np.integer[Any]], classes: Mapping[int, int], *, path: Path, expected: str
) -> Truth:
    """Replace each id by its class.

    Args:
        ids: Not negative, of any shape.
        classes: The class of every id that may occur, or `IGNORED`.
        path: Where the ids come from.
        expected: What the file should hold, as the end of "expected are ...".

    Raises:
        InputError: Ids that are not in `classes`.
    """
    present = np.flatnonzero(np.bincount(ids.ravel())).tolist()
    strange = [number for number in present if number not in classes]
    if strange:
        shown = ", ".join(map(str, strange[:_SHOWN])) + (", ..." if strange[_SHOWN:] else "")
        raise InputError(
            f"The label map {path} holds ids that cannot be: {shown}; expected are {expected}."
        )
    table = np.full(max(present, default=0) + 1, IGNORED, dtype=np.int16)
    table[present] = [classes[number] for number in present]
    return table[ids]


def as_they_are(classes: int, *, ignored: int | None = None) -> dict[int, int]:
    """Return the classes of ids that are class indices, and of the id that marks ignored pixels."""
    return {index: index for index in range(classes)} | _ignoring(ignored)


def zero_ignored(classes: int, *, ignored: int | None = None) -> dict[int, int]:
    """Return the classes of ids counted from 1, where 0 means none of them and is ignored."""
    return {0: IGNORED} | {index + 1: index for index in range(classes)} | _ignoring(ignored)


def _ignoring(number: int | None) -> dict[int, int]:
    return {} if number is None else {number: IGNORED}
