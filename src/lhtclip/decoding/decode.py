"""Window logits to labels: upsampling, averaging, resizing, softmax, winner, in small tiles.

Bilinear upsampling of every window, the average where windows overlap, and the bilinear resize to
the original size are linear and separable, so together they are two matrices that depend on sizes
only: logits of a class at full size = M_y · L · M_xᵀ. Nothing of classes × height × width is ever
held; memory is bounded by the tile, or with PAMR by a band of rows. All stays on the logits' device
until the labels are known, and nothing waits for that device on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.decoding.interpolation import Axis, plan_axis, resize_rows
from lhtclip.decoding.online_softmax import Lead, compete
from lhtclip.decoding.pamr import PamrSettings, affinity, refine
from lhtclip.errors import InputError
from lhtclip.image.windows import WindowPlan


@dataclass(frozen=True, slots=True)
class TileSize:
    """How much of the image is decoded at once.

    floats: Queries × rows × columns, for each thread.
    columns: At the most; on a CPU a multiple of what its reductions take at once, 64.
    """

    floats: int
    columns: int


TILES = {"cpu": TileSize(200_000, 64)}  # by device type; 0.8 MB, which a core's cache holds
TILES_ELSEWHERE = TileSize(8_000_000, 1024)
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
    if settings.pamr is None:
        parts = _Decoder.tiles
    elif image is None:
        raise InputError("PAMR follows the edges of the image: give decode the resized image.")
    else:
        parts = partial(_Decoder.bands, image=image, pamr=settings.pamr)
    decoder = _Decoder.of(logits * settings.logit_scale, plan, size, class_of_query)
    lead = everyone = _paint(size, parts(decoder), logits.device)
    if settings.area_threshold > 0:
        kept = _large_classes(lead.winner, classes, settings)
        if not all(kept):
            large = decoder.only([query for query, c in enumerate(class_of_query) if kept[c]])
            lead = _paint(size, parts(large), logits.device)
    scores = lead.probability(everyone)
    winner = lead.winner.masked_fill_(scores < settings.threshold, 0)
    return winner.cpu().long().numpy(), scores.cpu().numpy()


def _large_classes(winner: Tensor, classes: int, settings: DecodeSettings) -> tuple[bool, ...]:
    pixels = torch.bincount(winner.flatten().int(), minlength=classes).tolist()
    least = settings.area_threshold * max(sum(pixels[1:]), 1)
    return (True, *(count > least for count in pixels[1:]))


def _paint(
    size: tuple[int, int], parts: Iterable[tuple[slice, slice, Lead]], device: torch.device
) -> Lead:
    """Put the parts of an image together; what is not a number goes to class 0."""
    whole = Lead.of_nobody(size, device)
    for down, across, lead in parts:
        whole[down, across] = lead
    whole.winner.nan_to_num_(0.0)
    return whole


@dataclass(frozen=True, slots=True)
class _Decoder:
    """The logits of queries at the original size, part by part, and who leads there.

    stacked: Scaled logits (Q, rows, columns), patches of all windows in order of place.
    classes: Class of each query, float32 (Q, 1, 1).
    rows, columns: From stacked to original. Their matrices are beside the logits once more:
    down, across: (height, rows) and (columns, width).
    """

    stacked: Tensor
    classes: Tensor
    rows: Axis
    columns: Axis
    down: Tensor
    across: Tensor

    @classmethod
    def of(
        cls, logits: Tensor, plan: WindowPlan, size: tuple[int, int], class_of_query: Sequence[int]
    ) -> _Decoder:
        """Bring everything to the logits' device."""
        grid, device = logits.shape[2:4], logits.device
        rows = plan_axis(plan.tops, plan.window_height, plan.height, grid[0], size[0])
        columns = plan_axis(plan.lefts, plan.window_width, plan.width, grid[1], size[1])
        stacked = logits.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)
        stacked = stacked.index_select(1, rows.order.to(device))
        stacked = stacked.index_select(2, columns.order.to(device))
        classes = torch.tensor(class_of_query, dtype=torch.float32, device=device).view(-1, 1, 1)
        down, across = rows.matrix.to(stacked), columns.matrix.T.contiguous().to(stacked)
        return cls(stacked, classes, rows, columns, down, across)

    def only(self, queries: Sequence[int]) -> _Decoder:
        """Leave all other queries out."""
        chosen = torch.tensor(queries, dtype=torch.long, device=self.stacked.device)
        return replace(
            self,
            stacked=self.stacked.index_select(0, chosen),
            classes=self.classes.index_select(0, chosen),
        )

    def tiles(self) -> Iterator[tuple[slice, slice, Lead]]:
        """Upsample the height of a few rows, then the width of a few columns of them."""
        count, height, width = len(self.stacked), len(self.down), self.across.shape[1]
        if not count:
            return
        limit = tile_size(self.stacked.device)
        step = max(1, limit.floats // (count * min(limit.columns, width)))
        for top in range(0, height, step):
            down = slice(top, min(top + step, height))
            band = self.rows.band(down)
            tall = (self.down[down, band] @ self.stacked[:, band]).flatten(0, 1)  # (Q · rows, .)
            for left in range(0, width, limit.columns):
                across = slice(left, min(left + limit.columns, width))
                band = self.columns.band(across)
                tile = tall[:, band] @ self.across[band, across]
                tile = tile.view(count, -1, tile.shape[-1])
                yield down, across, compete(tile, self.classes)

    def bands(self, *, image: Tensor, pamr: PamrSettings) -> Iterator[tuple[slice, slice, Lead]]:
        """Refine before the queries compete, in bands of rows as wide as the image.

        A band takes along all rows that can reach into it, so that it comes out as if the whole
        image were refined at once. Queries are refined a group at a time. Held at most are the
        weights of 8 neighbours a dilation, for BAND_PIXELS pixels or three times PAMR's reach in
        rows, whichever is more.
        """
        height, width = len(self.down), self.across.shape[1]
        if not len(self.stacked):
            return
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
                compete(refine(planes, weights, pamr)[:, inner], classes)
                for planes, classes in self._groups(near)
            )
            yield slice(top, bottom), slice(width), reduce(Lead.join, leads)

    def _groups(self, rows: slice) -> Iterator[tuple[Tensor, Tensor]]:
        down = self.down[rows]
        group = tile_size(self.stacked.device).floats // (len(down) * self.across.shape[1])
        for stacked, classes in zip(
            self.stacked.split(max(1, group)), self.classes.split(max(1, group)), strict=True
        ):
            yield down @ (stacked @ self.across), classes


def tile_size(device: torch.device) -> TileSize:
    """Return what a device works on at once, all its threads together."""
    if device.type not in TILES:
        return TILES_ELSEWHERE
    one = TILES[device.type]
    return replace(one, floats=one.floats * torch.get_num_threads())
