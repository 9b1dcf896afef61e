"""Contours along pixel sides: the exact outline of every region of a label map, traced at once.

A crack is a pixel side between different labels, or at the border of the map. A node is a pixel
corner where cracks turn or meet. Cracks run straight between nodes, so the nodes in row and column
order give the end of every straight stretch without a search. The walk keeps the region on its
right-hand side and takes the rightmost crack at each node. Outlines run clockwise on the screen,
those of holes anticlockwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lhtclip.regions.components import check_connectivity
from lhtclip.regions.cycles import cycles_of
from lhtclip.regions.runs import Integers, Labels

_RIGHT, _DOWN, _LEFT, _UP = range(4)
_RISING, _FALLING = 16, 32  # beside the four bits of cracks: pixels joined at this corner only


def _turns() -> NDArray[np.int8]:
    """Return where a walk goes on, by the code of the node and the direction of arrival (64, 4)."""
    table = np.zeros((64, 4), dtype=np.int8)
    for code in range(64):
        for arrival in range(4):
            right, left = (arrival + 1) % 4, (arrival + 3) % 4
            joined = code & (_FALLING if arrival % 2 else _RISING)
            order = (left,) if joined else (right, arrival, left)
            table[code, arrival] = next((way for way in order if code >> way & 1), left)
    return table


_TURN = _turns()
# Directions in which a walk leaves an upper left corner, by code (64, 4): it came up and goes to
# the right, or came from the right and goes down. The first corner of every outline is one.
_CORNER = np.zeros((64, 4), dtype=np.bool_)
_CORNER[:, _RIGHT] = (_TURN[:, _UP] == _RIGHT) & (np.arange(64) & 3 == 3)
_CORNER[:, _DOWN] = (_TURN[:, _LEFT] == _DOWN) & (np.arange(64) & 3 == 3)
_MEETING = np.array([(code & 15).bit_count() > 2 for code in range(64)])


@dataclass(frozen=True, slots=True, eq=False)
class Contours:
    """Closed outlines, one after the other, each from its uppermost, leftmost corner.

    Attributes:
        points: Corners in pixels from the upper left corner of the map: x, y (points, 2).
        fixed: Points where more than two outlines meet, or the map's corners (points,).
        turns: Points where the outline turns; others only mark where neighbours meet (points,).
        bounds: Start of each outline in `points`, and the end (outlines + 1,).
        inside: Row and column of a pixel of the region of each outline (outlines, 2).
        hole: Outlines of holes (outlines,).
    """

    points: NDArray[np.int32]
    fixed: NDArray[np.bool_]
    turns: NDArray[np.bool_]
    bounds: Integers
    inside: Integers
    hole: NDArray[np.bool_]


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
    rows, columns, code = _nodes(labels)
    if connectivity == 8:
        code = code | _joined(rows, columns, code, labels)
    after = _after(columns, code)
    cuts = np.flatnonzero(_CORNER[code] & _walked(rows, columns, labels.shape))
    steps, bounds = cycles_of(after.ravel(), cuts)
    node, direction = steps >> 2, (steps & 3).astype(np.int8)
    edge = ((rows == 0) | (rows == labels.shape[0])) & (
        (columns == 0) | (columns == labels.shape[1])
    )
    fixed = edge | _MEETING[code]
    first, begins = node[bounds[:-1]], direction[bounds[:-1]]
    return Contours(
        points=np.stack([columns, rows], axis=1).take(node, axis=0),
        fixed=fixed[node],
        turns=direction != _before(direction, bounds),
        bounds=bounds,
        inside=_right_hand(rows[first], columns[first], begins),
        hole=begins == _DOWN,
    )


def _nodes(
    labels: Labels,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]:
    """Return row and column of each node, in row-major order, and its cracks: a bit a direction."""
    height, width = labels.shape
    across = np.zeros((height + 1, width + 2), dtype=np.bool_)  # [y, x + 1]: above pixel (y, x)
    across[[0, height], 1:-1] = True
    np.not_equal(labels[1:], labels[:-1], out=across[1:-1, 1:-1])
    down = np.zeros((height + 2, width + 1), dtype=np.bool_)  # [y + 1, x]: left of pixel (y, x)
    down[1:-1, [0, width]] = True
    np.not_equal(labels[:, 1:], labels[:, :-1], out=down[1:-1, 1:-1])
    is_node = across[:, 1:] | across[:, :-1]
    is_node &= down[1:] | down[:-1]
    place = np.flatnonzero(is_node)
    rows = place // (width + 1)
    code = np.zeros(len(place), dtype=np.uint8)
    for way, (sides, shift) in {
        _RIGHT: (across, rows + 1),
        _DOWN: (down, width + 1),
        _LEFT: (across, rows),
        _UP: (down, 0),
    }.items():
        code |= sides.view(np.uint8).ravel()[place + shift] << np.uint8(way)
    columns = place - rows * (width + 1)
    return rows.astype(np.int32), columns.astype(np.int32), code


def _after(columns: NDArray[np.int32], code: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return for each node and direction the step after it, 4 · node + direction (nodes, 4).

    Where there is no crack in a direction, the entry has no meaning.
    """
    count = len(columns)
    # By column and row: the node below a node is the next one.
    order = np.argsort(columns.astype(np.min_scalar_type(int(columns[-1]))), kind="stable")
    here = 4 * np.arange(count, dtype=np.int32)
    right, down, left, up = (here + turn[code] for turn in _TURN.T)  # leaving, by arrival
    below, above = np.zeros_like(here), np.zeros_like(here)
    below[order[:-1]], above[order[1:]] = down[order[1:]], up[order[:-1]]
    after = np.zeros((count, 4), dtype=np.int32)
    after[:-1, _RIGHT], after[1:, _LEFT] = right[1:], left[:-1]
    after[:, _DOWN], after[:, _UP] = below, above
    return after


def _joined(
    rows: NDArray[np.int32], columns: NDArray[np.int32], code: NDArray[np.uint8], labels: Labels
) -> NDArray[np.uint8]:
    """Return the bits of nodes where two pixels of a label share this corner only (nodes,)."""
    height, width = labels.shape
    inner = np.flatnonzero(
        (code == 15) & (rows > 0) & (rows < height) & (columns > 0) & (columns < width)
    )
    y, x = rows[inner], columns[inner]
    bits = np.zeros(len(code), dtype=np.uint8)
    bits[inner] = _RISING * (labels[y, x - 1] == labels[y - 1, x])
    bits[inner] |= (_FALLING * (labels[y - 1, x - 1] == labels[y, x])).astype(np.uint8)
    return bits


def _walked(
    rows: NDArray[np.int32], columns: NDArray[np.int32], size: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Return which steps have a pixel of the map on their right-hand side (nodes, 4)."""
    height, width = size
    return np.stack([rows < height, columns > 0, rows > 0, columns < width], axis=1)


def _before(direction: NDArray[np.int8], bounds: Integers) -> NDArray[np.int8]:
    """Return for each step the direction of the one before it in its outline."""
    before = np.empty_like(direction)
    before[1:] = direction[:-1]
    before[bounds[:-1]] = direction[bounds[1:] - 1]
    return before


def _right_hand(
    rows: NDArray[np.int32], columns: NDArray[np.int32], direction: NDArray[np.int8]
) -> Integers:
    """Return row and column of the pixel to the right of a step."""
    up = (direction == _LEFT) | (direction == _UP)
    left = (direction == _DOWN) | (direction == _LEFT)
    return np.stack([rows - up, columns - left], axis=1).astype(np.int64)
