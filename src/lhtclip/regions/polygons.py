"""Regions as polygons along pixel sides: an outer outline and its holes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import InputError, is_number, shown
from lhtclip.regions.components import Components, components_of
from lhtclip.regions.contours import Contours, trace
from lhtclip.regions.runs import Labels
from lhtclip.regions.simplify import kept_points


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """One connected region.

    Attributes:
        label: Its class index.
        outer: Points of the outline, clockwise on the screen: x, y in pixels from the upper left
            corner of the image, with pixels as squares of side 1 (points, 2).
        holes: Points of each hole, anticlockwise.
        area: Pixels of the region, before any simplification.
        box: x, y, width and height of the region in pixels.
    """

    label: int
    outer: NDArray[np.integer[Any]]
    holes: tuple[NDArray[np.integer[Any]], ...]
    area: int
    box: tuple[int, int, int, int]

    def keyhole(self) -> NDArray[Any]:
        """Return one outline (points, 2) that walks into each hole and back along the same line.

        For formats without holes; it covers the same area under any fill rule.
        """
        if not self.holes:
            return self.outer
        ring = self.outer.astype(np.float64)
        for hole in sorted(self.holes, key=lambda each: tuple(each.min(axis=0).tolist())):
            ring = _cut(ring, hole.astype(np.float64))
        whole = ring.astype(np.int32)
        return whole if np.array_equal(whole, ring) else ring


def polygons_of(
    labels: Labels,
    *,
    components: Components | None = None,
    tolerance: float = 0.0,
    ignored: int | None = None,
    connectivity: int = 4,
) -> list[Polygon]:
    """Turn the connected regions of a label map into polygons, in the order of `components_of`.

    Args:
        labels: (height, width).
        components: Components of `labels` and `connectivity`, if already computed.
        tolerance: Largest distance in pixels that an outline may move to save points; at 0 the
            polygons are exact. A common border moves for both neighbours alike.
        ignored: Label of pixels that belong to no region.
        connectivity: 4 or 8, as in `components_of`.

    Raises:
        InputError: Another connectivity, or a tolerance below 0.
    """
    check_tolerance(tolerance)
    if components is None:
        components = components_of(labels, connectivity=connectivity)
    contours = trace(labels, connectivity=connectivity)
    owner = components.of_run[components.runs.at(*contours.inside.T)]
    rings = _rings(contours, tolerance)
    order = np.lexsort((contours.hole, owner)).tolist()
    first = np.searchsorted(owner[order], np.arange(len(components) + 1)).tolist()
    label, area, box = (
        values.tolist() for values in (components.label, components.area, components.box)
    )
    return [
        Polygon(
            label[index],
            rings[order[begin]],
            tuple(rings[place] for place in order[begin + 1 : end]),
            area[index],
            tuple(box[index]),
        )
        for index, (begin, end) in enumerate(pairwise(first))
        if label[index] != ignored
    ]


def check_tolerance(tolerance: object) -> None:
    """Refuse a tolerance below 0, and what is no number.

    Raises:
        InputError: It is one of these.
    """
    if not (is_number(tolerance) and cast("float", tolerance) >= 0):
        raise InputError(f"The tolerance must be 0 or more pixels, got {shown(tolerance)}.")


def _rings(contours: Contours, tolerance: float) -> list[NDArray[np.int32]]:
    kept = kept_points(contours, tolerance)
    counts = np.add.reduceat(kept, contours.bounds[:-1])
    points, ends = contours.points.compress(kept, axis=0), np.cumsum(counts).tolist()
    return [points[begin:end] for begin, end in pairwise([0, *ends])]


def _cut(ring: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Join a hole to an outline around it, by a cut from its leftmost point to the left.

    Holes are joined from left to right, so that a cut ends at the outline or at a joined hole.
    """
    start = int(np.lexsort((hole[:, 1], hole[:, 0]))[0])
    x, y = hole[start]
    following = np.roll(ring, -1, axis=0)
    crossing = np.flatnonzero((ring[:, 1] <= y) != (following[:, 1] <= y))
    (from_x, from_y), (to_x, to_y) = ring[crossing].T, following[crossing].T
    places = from_x + (y - from_y) / (to_y - from_y) * (to_x - from_x)
    places[places > x] = -np.inf
    if not np.any(np.isfinite(places)):
        return ring  # simplified beyond its outline
    nearest = int(np.argmax(places))
    gate = np.array([[places[nearest], y]])
    around = np.roll(hole, -start, axis=0)
    edge = int(crossing[nearest]) + 1
    return np.concatenate([ring[:edge], gate, around, around[:1], gate, ring[edge:]])
