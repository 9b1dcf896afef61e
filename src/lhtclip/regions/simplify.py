"""Simplify all outlines of a map at once, by the Douglas-Peucker rule.

Points where more than two outlines meet stay. Everything in between is decided in exact integers,
independent of the direction of the walk. So two neighbours keep the same points of their common
border, without gaps or overlaps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lhtclip.regions.contours import Contours
from lhtclip.regions.runs import Integers


def kept_points(contours: Contours, tolerance: float) -> NDArray[np.bool_]:
    """Return which points (points,) keep every outline within a distance of the original.

    An outline that would turn inside out or vanish keeps all its points, and so do its neighbours
    along it.

    Args:
        contours: As traced.
        tolerance: Largest distance in pixels between a point and the simplified outline; at 0,
            only points on straight lines are dropped.
    """
    if tolerance <= 0:
        return contours.turns
    points = contours.points.astype(np.int64)
    rank = points[:, 1] * (int(points[:, 0].max()) + 1) + points[:, 0]
    fixed = contours.fixed
    while True:
        kept = _kept(contours, fixed, rank, tolerance)
        lost = signed_areas(contours, kept) * signed_areas(contours, contours.turns) <= 0
        if not np.any(lost):
            return kept
        of_lost = np.repeat(lost, np.diff(contours.bounds))
        fixed = fixed | np.isin(rank, rank[of_lost])


def signed_areas(contours: Contours, kept: NDArray[np.bool_]) -> Integers:
    """Return twice the area within each outline (outlines,); negative for holes."""
    counts = np.add.reduceat(kept, contours.bounds[:-1])
    bounds = np.append(0, np.cumsum(counts))
    x, y = contours.points[kept].T.astype(np.int64)
    after = np.arange(1, len(x) + 1)
    some = counts > 0
    after[bounds[1:][some] - 1] = bounds[:-1][some]
    totals = np.append(0, np.cumsum(x * y[after] - y * x[after]))
    return np.diff(totals[bounds])


def _kept(
    contours: Contours, fixed: NDArray[np.bool_], rank: Integers, tolerance: float
) -> NDArray[np.bool_]:
    sequence, ends = _closed(contours, fixed)
    points, rank = contours.points[sequence].astype(np.int64), rank[sequence]
    kept = fixed[sequence]
    kept[ends] = True
    undecided = np.flatnonzero(~kept)
    while len(undecided):
        farthest, distance, undecided = _farthest(points, rank, kept, undecided, tolerance)
        kept[farthest[distance > tolerance]] = True
        undecided = undecided[~kept[undecided]]
    chosen = np.zeros(len(contours.points), dtype=np.bool_)
    chosen[sequence[kept]] = True
    return chosen


def _closed(contours: Contours, fixed: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """Return the points of every outline from a fixed point around to itself, and both ends."""
    bounds, many = contours.bounds, np.diff(contours.bounds)
    outline = np.repeat(np.arange(len(many)), many)
    place = np.arange(len(outline)) - bounds[outline]
    shift = np.minimum.reduceat(np.where(fixed, place, len(place)), bounds[:-1])
    shift[shift == len(place)] = 0
    closed = np.repeat(np.arange(len(many)), many + 1)
    start = bounds[:-1] + np.arange(len(many))
    step = np.arange(len(closed)) - start[closed]
    sequence = bounds[closed] + (step + shift[closed]) % many[closed]
    return sequence, np.concatenate([start, start + many])


def _farthest(
    points: Integers, rank: Integers, kept: NDArray[np.bool_], undecided: Integers, tolerance: float
) -> tuple[Integers, NDArray[np.float64], Integers]:
    """Return the farthest point of each stretch between kept points, and its distance.

    Also returns the undecided points: those of unfinished stretches. On ties the point of the
    lowest rank is taken, independent of the direction of the walk.
    """
    place = np.cumsum(kept) - 1
    ends = np.flatnonzero(kept)
    stretch = place[undecided]
    squared = _squared_distance(points, ends[stretch], ends[stretch + 1], undecided)
    first = np.flatnonzero(np.diff(stretch, prepend=-1))
    most = np.maximum.reduceat(squared, first)
    own = np.repeat(most, np.diff(first, append=len(undecided)))
    far = np.where(squared == own, rank[undecided], np.iinfo(np.int64).max)
    lowest = np.minimum.reduceat(far, first)
    is_farthest = far == np.repeat(lowest, np.diff(first, append=len(undecided)))
    # A stretch that passes a corner twice contains its point twice; use the first.
    candidates = np.flatnonzero(is_farthest)
    _, once = np.unique(stretch[candidates], return_index=True)
    return undecided[candidates[once]], np.sqrt(most), undecided[own > tolerance**2]


def _squared_distance(
    points: Integers, first: Integers, last: Integers, between: Integers
) -> NDArray[np.float64]:
    """Return the squared distances of points to the straight lines from first to last."""
    chord = points[last] - points[first]
    offset = points[between] - points[first]
    length = (chord**2).sum(axis=1)
    along = (chord * offset).sum(axis=1)
    across = chord[:, 0] * offset[:, 1] - chord[:, 1] * offset[:, 0]
    beside = across.astype(np.float64) ** 2 / np.maximum(length, 1)
    to_first = (offset**2).sum(axis=1)
    to_last = ((points[between] - points[last]) ** 2).sum(axis=1)
    return np.where(along < 0, to_first, np.where(along > length, to_last, beside)) + np.where(
        length == 0, to_first, 0
    )
