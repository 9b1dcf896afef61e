"""Label maps: from a publisher's ids to classes; refuses ids that cannot occur."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.datasets.dataset import Truth
from lhtclip.errors import InputError, listed
from lhtclip.output.png import decode_labels
from lhtclip.segmentation import ignored_label, label_dtype

ClassOfId = Mapping[int, int | None]  # of every id that may occur; None for pixels not to count


def read_ids(path: Path) -> NDArray[np.uint16]:
    """Read the ids (height, width) of a label map, a palette or a greyscale PNG.

    Raises:
        InputError: As `decode_labels`.
    """
    return decode_labels(path).astype(np.uint16)


def read_truth(path: Path, classes: ClassOfId, expected: str) -> Truth:
    """Read a label map and convert its ids to classes; arguments and errors as for `to_classes`."""
    return to_classes(read_ids(path), classes, path=path, expected=expected)


def to_classes(
    ids: NDArray[np.integer[Any]], classes: ClassOfId, *, path: Path, expected: str
) -> Truth:
    """Replace each id by its class.

    Args:
        ids: Not negative, of any shape.
        classes: The class of every id that may occur; every class of the data set has an id.
        path: The file of the ids.
        expected: The ids that it should have, as the end of "expected ...".

    Raises:
        InputError: Ids that are not in `classes`.
    """
    present = np.flatnonzero(np.bincount(ids.ravel())).tolist()
    strange = [number for number in present if number not in classes]
    if strange:
        raise InputError(
            f"The label map {path} has ids that cannot occur: {listed(strange)}; expected "
            f"{expected}."
        )
    highest = max((index for index in classes.values() if index is not None), default=0)
    dtype = label_dtype(highest + 1)
    table = np.full(max(present, default=0) + 1, ignored_label(dtype), dtype)
    for number in present:
        if (index := classes[number]) is not None:
            table[number] = index
    return table[ids]


def as_they_are(classes: int, *, ignored: int | None = None) -> dict[int, int | None]:
    """Return the classes of ids that are class indices, and of the id that marks ignored pixels."""
    return {index: index for index in range(classes)} | _ignoring(ignored)


def zero_ignored(classes: int, *, ignored: int | None = None) -> dict[int, int | None]:
    """Return the classes of ids counted from 1, where 0 means none of them and is ignored."""
    return {0: None} | {index + 1: index for index in range(classes)} | _ignoring(ignored)


def _ignoring(number: int | None) -> dict[int, None]:
    return {} if number is None else {number: None}
