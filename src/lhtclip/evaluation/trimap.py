"""The trimap: the band along the true boundaries, in which labels are hardest to get right.

A pixel is in the band if a pixel of another true class is at most N pixels away, in rows or
columns, whichever is more (Chebyshev's distance, so the band is symmetric and a square window
decides). Ignored pixels belong to no class: they make no boundary and are not in
the band, but distances run across them, so the void rims of PASCAL VOC hide no boundary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.segmentation import ignored_label

_NONE = -1  # below every class


def boundary_band(truth: NDArray[np.integer[Any]], *, radius: int) -> NDArray[np.bool_]:
    """Find the pixels near another true class.

    If no other class is near, the largest and the smallest class in the window around a pixel are
    its own; both filters are separable.

    Args:
        truth: Classes (height, width); the largest value of the type marks ignored pixels.
        radius: Largest distance in pixels.

    Returns:
        (height, width), true in the band.
    """
    counts = truth != ignored_label(truth.dtype)
    classes = np.where(counts, truth.astype(np.int32), _NONE)
    beyond = np.iinfo(np.int32).max
    largest = _in_window(np.maximum, classes, radius, neutral=_NONE)
    smallest = _in_window(np.minimum, np.where(counts, classes, beyond), radius, neutral=beyond)
    return counts & ((largest != classes) | (smallest != classes))


def in_band(truth: NDArray[np.integer[Any]], *, radius: int) -> NDArray[np.integer[Any]]:
    """Return the true classes (height, width) with all pixels outside the band ignored."""
    outside = ~boundary_band(truth, radius=radius)
    return np.where(outside, np.array(ignored_label(truth.dtype), truth.dtype), truth)


def _in_window(
    pick: np.ufunc, classes: NDArray[np.int32], radius: int, *, neutral: int
) -> NDArray[np.int32]:
    """Pick from the square window around each pixel, one axis after the other."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (radius, radius)
        padded = np.pad(classes, width, constant_values=neutral)
        classes = np.moveaxis(_run(pick, np.moveaxis(padded, axis, 0), 2 * radius + 1), 0, axis)
    return classes


def _run(pick: np.ufunc, rows: NDArray[np.int32], length: int) -> NDArray[np.int32]:
    """Pick from every run of `length` rows, by runs of 1, 2, 4, ... rows, the last two overlapping.

    Returns:
        `length` - 1 rows less.
    """
    covered = 1
    while covered < length:
        step = min(covered, length - covered)
        rows = pick(rows[:-step], rows[step:])
        covered += step
    return rows
