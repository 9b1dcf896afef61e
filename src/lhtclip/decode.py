"""Window logits to labels: upsampling, averaging, resizing, softmax, winner, in small tiles.

Bilinear upsampling of every window, the average where windows overlap, and the bilinear resize to
the original size are linear and separable, so together they are two matrices that depend on sizes
only: logits of a class at full size = M_y · L · M_xᵀ. Nothing of classes × height × width is ever
held; memory is bounded by the tile, or with PAMR by a band of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial, reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.errors import InputError
from lhtclip.pamr import PamrSettings, affinity, refine
from lhtclip.windows import WindowPlan

TILE_FLOATS = 500_000  # queries × rows × columns of one tile; 2 MB, which caches hold
WIDE_FLOATS = 8_000_000  # queries × stacked rows × columns, before the height is upsampled
BAND_PIXELS = 2_000_000  # that PAMR refines at once; 16 weights each, 128 MB in float32


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How logits become labels.

    logit_scale: Factor on the cosines before the softmax.
    threshold: A pixel whose winning probability is below it becomes class 0 (prob_thd).
    area_threshold: A class other than 0 with at most this share of all pixels that are not class 0
        is struck out (area_thd); 0 strikes none.
    pamr: Refines the logits along the edges of the image before the softmax; None leaves them.
    """

    logit_scale: float = 40.0
    threshold: float = 0.0
    area_threshold: float = 0.0
    pamr: PamrSettings | None = None


def decode(
    logits: Tensor,
    plan: WindowPlan,
    size: tuple[int, int],
    class_of_query: tuple[int, ...],
    classes: int,
    settings: DecodeSettings,
    *,
    image: Tensor | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Label every pixel: softmax over all queries, maximum over a class's synonyms, the best class.

    Args:
        logits: Cosines, float32 (window rows, window columns, grid rows, grid columns, queries).
        plan: Where those windows lie in the resized image.
        size: Height and width of the original image in pixels.
        class_of_query: Class of each query, ascending; a class may have none.
        classes: How many classes there are.
        settings: Scale, thresholds and refinement.
        image: The resized image (channels, plan.height, plan.width), for PAMR only. It is brought
            to `size` bilinearly, as the published evaluations do.

    Returns:
        Labels, integers (height, width), and scores, the winner's probability in [0, 1]. A pixel
        put to class 0 by the threshold keeps its winner's score.

    Raises:
        InputError: PAMR is wanted and no image given.
    """
    stacked = logits.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)  # (Q, rows, columns)
    decoder = _Decoder(stacked * settings.logit_scale, plan, size, logits.shape[2:4])
    if settings.pamr is None:
        parts = decoder.tiles
    elif image is None:
        raise InputError("PAMR follows the edges of the image: give decode the resized image.")
    else:
        parts = partial(decoder.bands, image=image, pamr=settings.pamr)
    labels, scores = _paint(size, parts(_Queries(class_of_query)))
    if settings.area_threshold > 0:
        kept = _large_classes(labels, classes, settings)
        if not all(kept):
            labels, scores = _paint(size, parts(_Queries(class_of_query, kept)))
    labels[scores < settings.threshold] = 0
    return labels, scores


def _large_classes(
    labels: NDArray[np.int64], classes: int, settings: DecodeSettings
) -> tuple[bool, ...]:
    pixels = np.bincount(labels.ravel(), minlength=classes)
    foreground = max(int(pixels[1:].sum()), 1)
    small = pixels <= settings.area_threshold * foreground
    return (True, *(bool(x) for x in ~small[1:]))


def _paint(
    size: tuple[int, int], parts: Iterable[tuple[slice, slice, _Lead]]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    labels = np.empty(size, dtype=np.int64)
    scores = np.empty(size, dtype=np.float32)
    for down, across, lead in parts:
        labels[down, across] = lead.winner.cpu().numpy()
        scores[down, across] = lead.score.cpu().numpy()
    return labels, scores


class _Decoder:
    """The linear part: logits at the original size, part by part."""

    def __init__(
        self, stacked: Tensor, plan: WindowPlan, size: tuple[int, int], grid: torch.Size
    ) -> None:
        self.stacked, self.size = stacked, size
        rows = axis_matrix(plan.tops, plan.window_height, plan.height, grid[0], size[0])
        columns = axis_matrix(plan.lefts, plan.window_width, plan.width, grid[1], size[1])
        self.rows, self.columns = rows.to(stacked), columns.to(stacked)

    def tiles(self, queries: _Queries) -> Iterator[tuple[slice, slice, _Lead]]:
        height, width = self.size
        count, stacked_rows, _ = self.stacked.shape
        wide_width = max(1, min(width, WIDE_FLOATS // (count * stacked_rows)))
        for left in range(0, width, wide_width):
            across = slice(left, min(left + wide_width, width))
            part, band = _band(self.columns[across])
            wide = self.stacked[:, :, band] @ part.T  # (Q, stacked rows, wide width)
            tile_height = max(1, TILE_FLOATS // (count * wide.shape[-1]))
            for top in range(0, height, tile_height):
                down = slice(top, top + tile_height)
                part, band = _band(self.rows[down])
                yield down, across, queries.compete(part @ wide[:, band])

    def bands(
        self, queries: _Queries, *, image: Tensor, pamr: PamrSettings
    ) -> Iterator[tuple[slice, slice, _Lead]]:
        """Refine before the queries compete, in bands of rows as wide as the image.

        A band takes along all rows that can reach into it, so that it comes out as if the whole
        image were refined at once. Queries are refined a group at a time. Held at most are the
        weights of 8 neighbours a dilation, for BAND_PIXELS pixels or three times PAMR's reach in
        rows, whichever is more.
        """
        height, width = self.size
        guide = resize_rows(image.to(self.stacked).transpose(0, 1), height)  # (height, channels, w)
        guide = resize_rows(guide.permute(2, 1, 0), width).permute(1, 2, 0)  # (channels, H, W)
        at_once = BAND_PIXELS // width
        step = height if at_once >= height else max(pamr.reach, at_once - 2 * pamr.reach)
        for top in range(0, height, step):
            bottom = min(top + step, height)
            near = slice(max(top - pamr.reach, 0), bottom + pamr.reach)
            weights = affinity(guide[:, near], pamr.dilations)
            inner = slice(top - near.start, bottom - near.start)
            leads = (
                queries.only(some).compete(refine(planes, weights, pamr)[:, inner])
                for some, planes in self._groups(near)
            )
            yield slice(top, bottom), slice(width), reduce(_Lead.join, leads)

    def _groups(self, rows: slice) -> Iterator[tuple[slice, Tensor]]:
        part = self.rows[rows]
        group = max(1, TILE_FLOATS // (len(part) * len(self.columns)))
        for first in range(0, len(self.stacked), group):
            some = slice(first, first + group)
            yield some, part @ (self.stacked[some] @ self.columns.T)


@dataclass(frozen=True, slots=True)
class _Lead:
    """Who leads at each pixel among the queries so far: the class, its logit, and log Σ exp."""

    winner: Tensor
    best: Tensor
    normaliser: Tensor

    @property
    def score(self) -> Tensor:
        """The winner's probability."""
        return (self.best - self.normaliser).exp()

    def join(self, later: _Lead) -> _Lead:
        """Join with queries after these, which win only where they are better."""
        return _Lead(
            torch.where(later.best > self.best, later.winner, self.winner),
            torch.maximum(later.best, self.best),
            torch.logaddexp(later.normaliser, self.normaliser),
        )


@dataclass(frozen=True, slots=True)
class _Queries:
    """The rest: queries compete by softmax."""

    class_of_query: tuple[int, ...]
    kept: tuple[bool, ...] | None = None  # classes that may win; None for all

    def only(self, some: slice) -> _Queries:
        return _Queries(self.class_of_query[some], self.kept)

    def compete(self, tile: Tensor) -> _Lead:
        """Find the leaders from logits (queries, height, width).

        A class is as good as its best query, so the class of the best query of all leads.
        """
        normaliser = tile.logsumexp(dim=0)
        classes = torch.tensor(self.class_of_query, device=tile.device)
        if self.kept is not None:
            may_win = torch.tensor(self.kept, device=tile.device)[classes]
            tile, classes = tile[may_win], classes[may_win]
        if not len(classes):
            nobody = torch.full_like(normaliser, -torch.inf)
            return _Lead(torch.zeros_like(normaliser, dtype=torch.long), nobody, normaliser)
        best, position = tile.max(dim=0)
        return _Lead(classes[position], best, normaliser)


def _band(matrix: Tensor) -> tuple[Tensor, slice]:
    """Cut away the empty columns on both sides of a banded matrix."""
    used = matrix.any(dim=0).nonzero()[:, 0]
    band = slice(int(used[0]), int(used[-1]) + 1)
    return matrix[:, band], band


@lru_cache(maxsize=64)
def axis_matrix(
    starts: tuple[int, ...], window: int, resized: int, grid: int, original: int
) -> Tensor:
    """Return the matrix that takes stacked grid logits to original pixels along one axis.

    Args:
        starts: Where windows begin in the resized image, pixels.
        window: Length of a window, pixels.
        resized: Length of the resized image, pixels.
        grid: Patches of a window.
        original: Length of the original image, pixels.

    Returns:
        (original, len(starts) * grid) float32; each row sums to 1.
    """
    upsample = bilinear_matrix(grid, window)
    averaged = torch.zeros(resized, len(starts) * grid, dtype=torch.float64)
    for i, start in enumerate(starts):
        averaged[start : start + window, i * grid : (i + 1) * grid] = upsample
    averaged /= averaged.sum(dim=1, keepdim=True)  # every window's row sums to 1: its count
    return resize_rows(averaged, original).float()


def bilinear_matrix(source: int, target: int) -> Tensor:
    """Return bilinear resizing along one axis (align_corners=False) as (target, source) float64."""
    return resize_rows(torch.eye(source, dtype=torch.float64), target)


def resize_rows(matrix: Tensor, target: int) -> Tensor:
    """Resize (source, ...) to (target, ...) along its rows, bilinear as above.

    What is constant stays so to the last bit.
    """
    source = len(matrix)
    places = (torch.arange(target, dtype=torch.float64) + 0.5) * (source / target) - 0.5
    places = places.clamp(0, source - 1)
    low = places.floor().long()
    high = (low + 1).clamp_max(source - 1)
    weights = (places - low).to(matrix).reshape(-1, *(1,) * (matrix.ndim - 1))
    return torch.lerp(matrix[low], matrix[high], weights)
