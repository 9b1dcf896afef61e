"""Outlines and run lengths filled to masks by plain rules, to check what we write against."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fill_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (height, width) with their centre in at least one polygon (x1, y1, ...)"""
    mask = np.zeros(size, dtype=np.bool_)
    for polygon in polygons:
        points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
        left, top = (max(0, math.floor(low)) for low in points.min(axis=0))
        right, bottom = (
            min(limit, math.ceil(high) + 1)
            for limit, high in zip(size[::-1], points.max(axis=0), strict=True)
        )
        if left < right and top < bottom:
            part = _middles(points - (left, top), (bottom - top, right - left))
            mask[top:bottom, left:right] |= part
    return mask


def fill_runs(counts: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask (height, width) whose columns have these run lengths, outside first."""
    assert min(counts, default=0) >= 0
    assert sum(counts) == size[0] * size[1]
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(size[::-1]).T


def _middles(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which middles of the pixels (height, width) lie in a polygon (points, 2).

    Those do that have an odd number of its edges to their left.
    """
    height, width = size
    x, y = points.T
    to_x, to_y = np.roll(points, -1, axis=0).T
    middles = np.arange(height)[:, None] + 0.5
    rows, edges = np.nonzero((y <= middles) != (to_y <= middles))  # those that cross the row
    share = (rows + 0.5 - y[edges]) / (to_y - y)[edges]
    crossings = x[edges] + share * (to_x - x)[edges]
    first = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.intp)  # pixel to the right of it
    turns = np.zeros((height, width + 1), dtype=np.intp)
    np.add.at(turns, (rows, first), 1)
    return np.cumsum(turns, axis=1)[:, :width] % 2 == 1
