"""Connected components: regions of one label in which every pixel can be reached from every other.

Runs that touch and share a label are joined by hooking roots onto smaller ones and jumping
pointers (Shiloach and Vishkin, 1982), which needs a handful of passes over arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import check_choice
from lhtclip.regions.runs import (
    Contacts,
    Integers,
    Labels,
    Runs,
    contacts_between_columns,
    runs_of,
)


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a label map; connected ones in column-major order of their first pixels.

    Attributes:
        runs: The runs of the label map.
        of_run: The component of each run (runs,).
        label: The label of each component (components,).
    """

    runs: Runs
    of_run: Integers
    label: Labels

    def __len__(self) -> int:
        """Return the number of components."""
        return len(self.label)

    @cached_property
    def order(self) -> Integers:
        """The runs sorted by component, in column-major order within each (runs,)."""
        few = self.of_run.astype(np.min_scalar_type(len(self)))  # 16 bits are sorted in one pass
        return np.argsort(few, kind="stable")

    @cached_property
    def bounds(self) -> Integers:
        """Start of each component's runs in `order`, and the end (components + 1,)."""
        counts = np.bincount(self.of_run, minlength=len(self))
        return np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def area(self) -> Integers:
        """The number of pixels of each component (components,)."""
        lengths = (self.runs.stop - self.runs.start)[self.order]
        return np.add.reduceat(lengths, self.bounds[:-1])

    @cached_property
    def box(self) -> Integers:
        """The bounding boxes in pixels (components, 4): x, y, width, height."""
        height = self.runs.size[0]
        start, first = self.runs.start[self.order], self.bounds[:-1]
        last = self.runs.stop[self.order] - 1
        columns, rows = np.divmod(start, height)
        left, top = columns[first], np.minimum.reduceat(rows, first)
        right, bottom = columns[self.bounds[1:] - 1], np.maximum.reduceat(last % height, first)
        return np.stack([left, top, right - left + 1, bottom - top + 1], axis=1)

    def map(self) -> NDArray[np.int32]:
        """Return the component of every pixel (height, width)."""
        return self.runs.paint(self.of_run.astype(np.int32))


def components_of(labels: Labels, *, connectivity: int = 4) -> Components:
    """Find the connected components of a label map.

    Args:
        labels: (height, width); every value is a separate class, including "ignored".
        connectivity: 4 joins pixels that share a side, 8 also those that share a corner.

    Raises:
        InputError: Another connectivity.
    """
    check_connectivity(connectivity)
    runs = runs_of(labels)
    return join(runs, contacts_between_columns(runs, connectivity=connectivity))


def classes_of(labels: Labels) -> Components:
    """Take all pixels of a label (height, width) for one component, connected or not."""
    runs = runs_of(labels)
    label, of_run = np.unique(runs.label, return_inverse=True)
    return Components(runs, of_run, label)


def join(runs: Runs, contacts: Contacts) -> Components:
    """Join runs of equal labels that touch."""
    alike = runs.label[contacts.first] == runs.label[contacts.second]
    first, second = contacts.first[alike], contacts.second[alike]
    root = np.arange(len(runs.start))
    while len(first):
        one, other = root[first], root[second]
        apart = one != other
        first, second, one, other = first[apart], second[apart], one[apart], other[apart]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        _flatten(root)
    is_root = root == np.arange(len(root))
    number = np.cumsum(is_root) - 1
    return Components(runs, number[root], runs.label[is_root])


def check_connectivity(connectivity: int) -> None:
    """Refuse a connectivity other than 4 and 8.

    Raises:
        InputError: It is another.
    """
    check_choice("connectivity", connectivity, (4, 8))


def _flatten(root: Integers) -> None:
    """Make every entry point directly at its root, in place."""
    while True:
        above = root[root]
        if np.array_equal(above, root):
            return
        root[:] = above
