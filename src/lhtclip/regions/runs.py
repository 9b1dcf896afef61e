"""A label map as runs of equal labels down its columns, which all region code works on.

There are far fewer runs than pixels, and COCO's run lengths go down columns as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Labels: TypeAlias = NDArray[np.integer[Any]]
Integers: TypeAlias = NDArray[np.int64]

_ROWS = 128  # rows transposed at once: a cache line of each fits into the cache


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs of equal labels in column-major order; none crosses the end of a column.

    Attributes:
        size: Height and width of the label map.
        start: Position of each run's first pixel, column · height + row; ascending (runs,).
        label: Label of each run (runs,).
    """

    size: tuple[int, int]
    start: Integers
    label: Labels

    @property
    def stop(self) -> Integers:
        """Position after each run's last pixel (runs,)."""
        return np.append(self.start[1:], self.size[0] * self.size[1])

    def paint(self, values: NDArray[Any]) -> NDArray[Any]:
        """Expand one value per run to one per pixel: (runs,) becomes (height, width)."""
        return np.ascontiguousarray(self.columns(values).T)

    def columns(self, values: NDArray[Any]) -> NDArray[Any]:
        """Do the same column by column, which is faster: (runs,) becomes (width, height)."""
        return np.repeat(values, self.stop - self.start).reshape(self.size[::-1])

    def sums(self, values: NDArray[Any]) -> NDArray[Any]:
        """Add up the values (height, width) of the pixels of every run (runs,)."""
        return np.add.reduceat(_down_columns(values), self.start)

    def at(self, rows: Integers, columns: Integers) -> Integers:
        """Return the index of each pixel's run."""
        places = columns * self.size[0] + rows
        return np.searchsorted(self.start, places, side="right") - 1


@dataclass(frozen=True, slots=True, eq=False)
class Contacts:
    """Pairs of runs that touch.

    Attributes:
        first, second: Indices of the runs; the first comes before the second (pairs,).
    """

    first: Integers
    second: Integers


def runs_of(labels: Labels) -> Runs:
    """Cut a label map (height, width) into runs; a transposed map gives runs along rows."""
    height, width = labels.shape
    columns = _down_columns(labels)
    first = np.empty(columns.shape, dtype=np.bool_)
    np.not_equal(columns[1:], columns[:-1], out=first[1:])
    first[::height] = True
    start = np.flatnonzero(first)
    return Runs((height, width), start, columns[start])


def _down_columns(values: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels in column-major order, a few rows at a time, which is fast."""
    height, width = values.shape
    columns = np.empty((width, height), dtype=values.dtype)
    for top in range(0, height, _ROWS):
        columns[:, top : top + _ROWS] = values[top : top + _ROWS].T
    return columns.ravel()


def contacts_between_columns(runs: Runs, *, connectivity: int = 4) -> Contacts:
    """List the pairs of runs in neighbouring columns that touch.

    Args:
        runs: Of a label map.
        connectivity: 4 counts shared sides, 8 also shared corners.
    """
    height, width = runs.size
    start = runs.start
    count = int(np.searchsorted(start, height * (width - 1)))  # the last column has no neighbour
    beside = start[: count + 1] + height  # the pixels beside the first ones of the runs
    place = np.searchsorted(start, beside)
    begins = np.append(start, height * width)[place] == beside  # a run begins there too
    first, last = place[:-1] - ~begins[:-1], place[1:]
    if connectivity == 8:
        first = first - (begins[:-1] & (beside[:-1] % height > 0))
        last = last + (begins[1:] & (beside[1:] % height > 0))
    many = last - first
    left = np.repeat(np.arange(count), many)
    right = np.arange(len(left)) + np.repeat(first - np.cumsum(many) + many, many)
    return Contacts(left, right)


def sides_between_columns(runs: Runs, contacts: Contacts) -> Integers:
    """Count the pixel sides that each pair shares; 0 where only corners touch (pairs,)."""
    height, left, right = runs.size[0], contacts.first, contacts.second
    start, stop = runs.start, runs.stop
    overlap = np.minimum(stop[left] + height, stop[right]) - np.maximum(
        start[left] + height, start[right]
    )
    return np.maximum(overlap, 0)


def contacts_within_columns(runs: Runs) -> Contacts:
    """List the pairs of runs that follow each other down a column; they share a side."""
    second = np.flatnonzero(runs.start % runs.size[0])
    return Contacts(second - 1, second)
