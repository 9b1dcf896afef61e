"""PASCAL Context as first released: MATLAB files of 459 ids, whose names a text file lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lhtclip.datasets.dataset import Truth, published_names
from lhtclip.datasets.label_maps import ClassOfId, to_classes
from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.files.regular_files import read_regular

_MOST_BYTES = 64 << 20  # of a list

MATS, LABELS_FILE = "trainval", "labels.txt"

_VARIABLE = "LabelMap"


def classes_by_id(path: Path, *, background: int | None) -> dict[int, int | None]:
    """Find the 59 classes among the 459 names of `labels.txt`, whose lines read "2: aeroplane".

    Names decide, so the order of the file does not matter. `59_labels.txt`, which comes with the
    release, is not read: it has another order than the class list of the published evaluations,
    and calls table, bedclothes and cloth "diningtable", "bedcloth" and "clothes".

    Args:
        path: The file.
        background: The class of all other names, and of id 0: 0, and the 59 classes count from 1.
            With None such pixels do not count, and the classes count from 0.

    Raises:
        InputError: The file is missing or cannot be used, or lacks one of the 59 names.
    """
    try:
        lines = read_regular(path, most=_MOST_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"Cannot read the names of PASCAL Context's ids, {path}: {error}."
        ) from error
    ids: dict[str, int] = {}
    for line in filter(str.strip, lines):
        number, _, name = line.partition(":")
        if not number.strip().isdigit() or not name.strip():
            raise InputError(
                f"{path} has the line {line!r}; expected lines such as '2: aeroplane'."
            )
        ids["".join(name.split())] = int(number)
    names = published_names("context59")
    missing = [name for name in names if name not in ids]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}; expected the list of the 459 names that the "
            ".mat files use."
        )
    first = 0 if background is None else background + 1
    found = {ids[name]: index for index, name in enumerate(names, start=first)}
    return dict.fromkeys((0, *ids.values()), background) | found


def read_mat(path: Path, classes: ClassOfId) -> Truth:
    """Read the variable LabelMap of a MATLAB file and convert its ids to classes.

    Raises:
        InputError: The file is missing or broken, or has ids without a class.
        MissingDependencyError: SciPy is not installed.
    """
    scipy_io = import_extra("scipy.io", purpose="PASCAL Context's .mat files")
    try:
        ids: Any = scipy_io.loadmat(path, variable_names=[_VARIABLE])[_VARIABLE]
    except Exception as error:  # damaged files raise errors of many kinds
        raise InputError(f"Cannot read {_VARIABLE} from {path}: {error}.") from error
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.unsignedinteger):
        raise InputError(
            f"{_VARIABLE} of {path} has {ids.ndim} dimensions of {ids.dtype}; expected ids in two."
        )
    return to_classes(ids, classes, path=path, expected=f"the ids of {LABELS_FILE}")
