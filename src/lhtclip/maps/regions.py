"""Trace the regions of a map strip by strip: memory depends on the largest region, not on the map.

Each strip is traced alone. Pieces on both sides of a seam that share an edge and a class belong to
one region. A region is complete once none of its pieces touches the last row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.extras import import_extra
from lhtclip.maps.job import STEPS
from lhtclip.maps.parts import Strip


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A 4-connected region of one class.

    Attributes:
        value: Index of the class.
        outline: Its polygon in pixels of the frame (column, row).
        pixels: Number of pixels.
        score: Mean of their scores, in [0, 1].
    """

    value: int
    outline: Any
    pixels: int
    score: float


@dataclass(slots=True, eq=False)
class _Growing:
    """A region that may get more pieces, or that has become part of another one."""

    value: int
    pieces: list[Any]
    pixels: int
    total: int
    part_of: _Growing | None = None

    def whole(self) -> _Growing:
        """Return the region that this one is part of, or itself."""
        found = self
        while found.part_of:
            found = found.part_of
        if found is not self:
            self.part_of = found
        return found

    def take(self, other: _Growing) -> None:
        """Unite two regions; the one of more pieces takes the others."""
        if self is other:
            return
        large, small = (self, other) if len(self.pieces) > len(other.pieces) else (other, self)
        large.pieces += small.pieces
        large.pixels += small.pixels
        large.total += small.total
        small.pieces, small.part_of = [], large

    def finished(self) -> Region:
        """Unite the pieces."""
        mean = self.total / self.pixels / STEPS
        return Region(self.value, _united(self.pieces), self.pixels, mean)


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A row next to a seam: labels, numbers of pieces, and the pieces of its strip."""

    labels: NDArray[Any]
    numbers: NDArray[np.int32]
    pieces: list[_Growing]

    def regions(self) -> list[_Growing]:
        """Return its regions, each once."""
        numbers = np.unique(self.numbers[self.numbers >= 0]).tolist()
        return list(dict.fromkeys(self.pieces[number].whole() for number in numbers))


def trace(strips: Iterable[Strip], *, min_area: int = 0) -> Iterator[Region]:
    """Yield the regions of a map, each soon after its last row.

    Args:
        strips: Strips with scores, from top to bottom.
        min_area: Regions of fewer pixels are left out.
    """
    above: _Row | None = None
    for strip in strips:
        numbers, pieces = _pieces(strip)
        first, last = (_Row(strip.labels[row], numbers[row], pieces) for row in (0, -1))
        before = above.regions() if above else []
        if above:
            _join(above, first)
        growing = set(last.regions())
        found = dict.fromkeys(each.whole() for each in (*before, *pieces))
        yield from _finished((each for each in found if each not in growing), min_area)
        above = last
    if above:
        yield from _finished(above.regions(), min_area)


def _finished(regions: Iterable[_Growing], min_area: int) -> Iterator[Region]:
    return (each.finished() for each in regions if each.pixels >= min_area)


def _pieces(strip: Strip) -> tuple[NDArray[np.int32], list[_Growing]]:
    """Trace a strip; returns the number of the piece of each pixel, -1 for none, and the pieces."""
    features = import_extra("rasterio.features", purpose="Maps")
    shapely = import_extra("shapely", purpose="Vector files")
    transforms = import_extra("rasterio.transform", purpose="Maps")
    assert strip.scores is not None  # whoever wants regions labels with scores

    labels, transform = strip.labels, transforms.from_origin(0, strip.top, 1, -1)
    seen = labels != np.iinfo(labels.dtype).max
    found = features.shapes(labels, mask=seen, connectivity=4, transform=transform)
    traced = [(shapely.geometry.shape(each), int(value)) for each, value in found]
    numbers = np.full(labels.shape, -1, np.int32)
    if traced:
        drawn = ((outline, number) for number, (outline, _) in enumerate(traced))
        features.rasterize(drawn, out=numbers, transform=transform)
    flat = numbers[seen]
    pixels = np.bincount(flat, minlength=len(traced)).tolist()
    totals = np.bincount(flat, strip.scores[seen], minlength=len(traced)).tolist()
    return numbers, [
        _Growing(value, [outline], count, round(total))
        for (outline, value), count, total in zip(traced, pixels, totals, strict=True)
    ]


def _join(above: _Row, below: _Row) -> None:
    """Join the regions of two neighbouring rows where both have one class."""
    same = (above.labels == below.labels) & (below.numbers >= 0)
    for upper, lower in np.unique([above.numbers[same], below.numbers[same]], axis=1).T.tolist():
        above.pieces[upper].whole().take(below.pieces[lower].whole())


def _united(pieces: list[Any]) -> Any:
    """Return the union of pieces, without the points that seams leave on straight edges.

    A normalised ring begins at its leftmost point, which is a corner, so that every point on a
    straight edge can go.
    """
    import shapely

    if len(pieces) == 1:
        return pieces[0]
    return shapely.simplify(shapely.normalize(shapely.union_all(pieces)), 0)
