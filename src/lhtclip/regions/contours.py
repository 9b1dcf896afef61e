"""Contours along pixel sides: the exact outline of every region of a label map, traced at once.

A crack is a pixel side between different labels, or at the border of the map. A node is a pixel
corner where cracks turn or meet. Cracks run straight between nodes, so the nodes in row and column
order give the end of every straight stretch without a search. The walk keeps the region on its
right-hand side and takes the rightmost crack at each node. Outlines run clockwise on the screen,
those of holes anticlockwise.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lhtclip.regions.components import check_connectivity
from lhtclip.regions.runs import Integers, Labels

_RIGHT, _DOWN, _LEFT, _UP = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Contours:
    """Closed outlines, one after the other, each from its uppermost, leftmost corner.

    Attributes:
        points: Corners in pixels from the upper left corner of the map: x, y (points, 2).
        fixed: Points where more than two outlines meet, or the map's corners (points,).
        turns: Points where the outline turns; others only mark where neighbours meet (points,).
        bounds: Start of each outline in `points`, and the end (outlines + 1,).
        inside: Row and column of a pixel of the region of each outline (outlines, 2).
    """

    points: Integers
    fixed: NDArray[np.bool_]
    turns: NDArray[np.bool_]
    bounds: Integers
    inside: Integers


def trace(labels: Labels, *, connectivity: int = 4) -> Contours:
    """Trace the outlines of all connected regions of a label map (height, width).

    Args:
        labels: Every value is a separate class, including "ignored".
        connectivity: If two pixels of a region share only a corner, 4 gives each its own outline
            and 8 one outline around both.

    Raises:
        InputError: Another connectivity than 4 or 8.
    """
    check_connectivity(connectivity)
    rows, columns, cracks = _nodes(labels)
    follow = _follow(rows, columns, cracks, labels if connectivity == 8 else None)
    steps = np.flatnonzero(_walked(rows, columns, cracks, labels.shape))
    number = np.empty(len(follow), dtype=np.int32)
    number[steps] = np.arange(len(steps), dtype=np.int32)
    order, bounds = _walk(number[follow[steps]])
    node, direction = np.divmod(steps[order], 4)
    before = direction[_before(bounds)]
    edge = ((rows == 0) | (rows == labels.shape[0])) & (
        (columns == 0) | (columns == labels.shape[1])
    )
    fixed = (cracks.sum(axis=1) > 2) | edge
    first = bounds[:-1]
    return Contours(
        points=np.stack([columns[node], rows[node]], axis=1),
        fixed=fixed[node],
        turns=direction != before,
        bounds=bounds,
        inside=_right_hand(rows[node[first]], columns[node[first]], direction[first]),
    )


def _nodes(labels: Labels) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Return row and column of each node, in row-major order, and its cracks by direction."""
    height, width = labels.shape
    across = np.zeros((height + 1, width + 2), dtype=np.bool_)  # [y, x + 1]: above pixel (y, x)
    across[[0, height], 1:-1] = True
    np.not_equal(labels[1:], labels[:-1], out=across[1:-1, 1:-1])
    down = np.zeros((height + 2, width + 1), dtype=np.bool_)  # [y + 1, x]: left of pixel (y, x)
    down[1:-1, [0, width]] = True
    np.not_equal(labels[:, 1:], labels[:, :-1], out=down[1:-1, 1:-1])
    is_node = (across[:, 1:] | across[:, :-1]) & (down[1:] | down[:-1])
    rows, columns = np.divmod(np.flatnonzero(is_node), width + 1)
    cracks = np.stack(
        [
            across[rows, columns + 1],
            down[rows + 1, columns],
            across[rows, columns],
            down[rows, columns],
        ],
        axis=1,
    )
    return rows, columns, cracks


def _follow(
    rows: Integers, columns: Integers, cracks: NDArray[np.bool_], labels: Labels | None
) -> Integers:
    """Return the successor of each step (4 · node + direction).

    With `labels`, regions that touch at a corner are joined; without, they are kept apart.
    """
    count = len(rows)
    here = np.arange(count)
    by_column = np.argsort(columns.astype(np.min_scalar_type(int(columns[-1]))), kind="stable")
    below, above = here.copy(), here.copy()
    below[by_column[:-1]], above[by_column[1:]] = by_column[1:], by_column[:-1]
    target = np.stack([np.minimum(here + 1, count - 1), below, np.maximum(here - 1, 0), above], 1)
    follow = np.empty((count, 4), dtype=np.int64)
    joined = (
        np.zeros((count, 2), dtype=np.bool_)
        if labels is None
        else _joined(rows, columns, cracks, labels)
    )
    for direction in range(4):
        arrived = target[:, direction]
        right, left = (direction + 1) % 4, (direction + 3) % 4
        turn = np.where(
            cracks[arrived, right], right, np.where(cracks[arrived, direction], direction, left)
        )
        turn[joined[arrived, direction % 2]] = left
        follow[:, direction] = 4 * arrived + turn
    return follow.ravel()


def _joined(
    rows: Integers, columns: Integers, cracks: NDArray[np.bool_], labels: Labels
) -> NDArray[np.bool_]:
    """Return where two pixels of a label share only this corner (nodes, 2): rising, falling."""
    crossing = np.flatnonzero(cracks.all(axis=1))
    inner = crossing[
        (rows[crossing] > 0)
        & (rows[crossing] < labels.shape[0])
        & (columns[crossing] > 0)
        & (columns[crossing] < labels.shape[1])
    ]
    y, x = rows[inner], columns[inner]
    joined = np.zeros((len(rows), 2), dtype=np.bool_)
    joined[inner, 0] = labels[y, x - 1] == labels[y - 1, x]
    joined[inner, 1] = labels[y - 1, x - 1] == labels[y, x]
    return joined


def _walked(
    rows: Integers, columns: Integers, cracks: NDArray[np.bool_], size: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Return which steps have a pixel of the map on their right-hand side (4 · nodes,)."""
    height, width = size
    inner = np.stack([rows < height, columns > 0, rows > 0, columns < width], axis=1)
    return (cracks & inner).ravel()


def _walk(follow: NDArray[np.int32]) -> tuple[Integers, Integers]:
    """Follow the steps around; return them outline by outline, and the start of each outline.

    This is a Python loop over one small array. Pointer doubling takes twice as long, because each
    of its rounds touches everything.
    """
    after = array("i", follow.tobytes())
    waiting = bytearray(b"\1") * len(after)
    order, bounds, step = array("i"), [0], 0
    while step >= 0:
        while waiting[step]:
            waiting[step] = 0
            order.append(step)
            step = after[step]
        bounds.append(len(order))
        step = waiting.find(1, step)
    return np.frombuffer(order, dtype=np.int32).astype(np.int64), np.array(bounds)


def _before(bounds: Integers) -> Integers:
    """Return the predecessor of each point in its outline."""
    before = np.arange(-1, int(bounds[-1]) - 1)
    before[bounds[:-1]] = bounds[1:] - 1
    return before


def _right_hand(rows: Integers, columns: Integers, direction: Integers) -> Integers:
    """Return row and column of the pixel to the right of a step."""
    up = (direction == _LEFT) | (direction == _UP)
    left = (direction == _DOWN) | (direction == _LEFT)
    return np.stack([rows - up, columns - left], axis=1)
