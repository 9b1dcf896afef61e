"""Window logits to labels: upsampling, averaging, resizing, softmax, winner, in small tiles.

Bilinear upsampling of every window, the average where windows overlap, and the bilinear resize to
the original size are linear and separable. Together they are two matrices that depend on sizes
only: the full-size logits of a class are M_y · L · M_xᵀ. No array of classes × height × width ever
exists; memory is bounded by the tile, or with PAMR by a band of rows. Everything stays on the
logits' device until the labels are known, and nothing on the way waits for that device.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.decoding.interpolation import Axis, plan_axis, resize_rows
from lhtclip.decoding.online_softmax import RunningWinner, find_winners
from lhtclip.decoding.pamr import PamrSettings, affinity, refine
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.decoding.tlp import propagated
from lhtclip.errors import InputError
from lhtclip.image.windows import WindowPlan


@dataclass(frozen=True, slots=True)
class TileSize:
    """How much of the image is decoded at once.

    Attributes:
        floats: Prompts × rows × columns, for each thread.
        columns: Maximum; on a CPU a multiple of 64, which its reductions take at once.
    """

    floats: int
    columns: int


TILES = {"cpu": TileSize(200_000, 64)}  # by device type; 0.8 MB fit into a core's cache
TILES_ELSEWHERE = TileSize(8_000_000, 1024)
AXIS_FLOATS = 1 << 21  # of a matrix from patches to pixels along one axis, 16 MB while it is made
BAND_PIXELS = 2_000_000  # refined by PAMR at once; 16 weights each, 128 MB in float32


def decode(
    logits: Tensor,
    plan: WindowPlan,
    size: tuple[int, int],
    class_of_query: tuple[int, ...],
    classes: int,
    settings: DecodeSettings,
    *,
    image: Tensor | None = None,
    texts: Tensor | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Label every pixel: softmax over all prompts, maximum over a class's prompts, the best class.

    Args:
        logits: Cosines, float32 (window rows, window columns, grid rows, grid columns, prompts).
        plan: Where those windows are in the resized image.
        size: Height and width of the original image in pixels.
        class_of_query: Class of each prompt, ascending; a class may have none.
        classes: Number of classes.
        settings: Scale, thresholds and refinement.
        image: The resized image (channels, plan.height, plan.width), for PAMR and TLP only. It is
            resized bilinearly to `size`, as in the published evaluations.
        texts: Embeddings of the prompts (prompts, E), of unit length, for TLP only.

    Returns:
        Labels, integers (height, width), and scores, the winner's probability in [0, 1]. A pixel
        that the threshold moves to class 0 keeps its winner's score.

    Raises:
        InputError: PAMR was requested without an image, or TLP without an image or texts.
    """
    if settings.tlp is not None:
        if image is None or texts is None:
            raise InputError("TLP needs the resized image and the embeddings of the prompts.")
        logits, plan = propagated(
            logits, plan, size, texts=texts, image=image, settings=settings.tlp
        )
    if settings.pamr is None:
        parts = _Decoder.tiles
    elif image is None:
        raise InputError("PAMR follows the edges of the image: give decode the resized image.")
    else:
        parts = partial(_Decoder.bands, image=image, pamr=settings.pamr)
    side = AXIS_FLOATS if settings.pamr is None else sys.maxsize
    decoders = partial(
        _decoders, logits * settings.logit_scale, plan, size, class_of_query, at_most=side
    )
    winners = overall = _paint(size, _everywhere(decoders(), parts), logits.device)
    if settings.area_threshold > 0:
        kept = _large_classes(winners.winner, classes, settings)
        if not all(kept):
            chosen = [query for query, c in enumerate(class_of_query) if kept[c]]
            large = ((top, left, each.only(chosen)) for top, left, each in decoders())
            winners = _paint(size, _everywhere(large, parts), logits.device)
    scores = winners.probability(overall)
    winner = winners.winner.masked_fill_(scores < settings.threshold, 0)
    return winner.cpu().long().numpy(), scores.cpu().numpy()


_Parts: TypeAlias = Iterator[tuple[slice, slice, RunningWinner]]


def _everywhere(
    decoders: Iterable[tuple[int, int, _Decoder]], parts: Callable[[_Decoder], _Parts]
) -> _Parts:
    """Yield the parts of all rectangles, where they lie in the whole image."""
    for top, left, decoder in decoders:
        for down, across, winners in parts(decoder):
            yield _moved(down, top), _moved(across, left), winners


def _moved(part: slice, by: int) -> slice:
    return slice((part.start or 0) + by, part.stop + by)


def _decoders(
    logits: Tensor,
    plan: WindowPlan,
    size: tuple[int, int],
    class_of_query: Sequence[int],
    *,
    at_most: int,
) -> Iterator[tuple[int, int, _Decoder]]:
    """Yield the top, the left and the decoder of rectangles whose matrices stay small."""
    (rows, columns), grid = (len(plan.tops), len(plan.lefts)), logits.shape[2:4]
    for down in _stretches(size[0], at_most // (rows * grid[0])):
        for across in _stretches(size[1], at_most // (columns * grid[1])):
            decoder = _Decoder.of(logits, plan, size, class_of_query, down, across)
            yield down[0], across[0], decoder


def _stretches(length: int, step: int) -> Iterator[tuple[int, int]]:
    step = max(1, step)
    return ((start, min(start + step, length)) for start in range(0, length, step))


def _large_classes(winner: Tensor, classes: int, settings: DecodeSettings) -> tuple[bool, ...]:
    pixels = torch.bincount(winner.flatten().int(), minlength=classes).tolist()
    least = settings.area_threshold * max(sum(pixels[1:]), 1)
    return (True, *(count > least for count in pixels[1:]))


def _paint(
    size: tuple[int, int], parts: Iterable[tuple[slice, slice, RunningWinner]], device: torch.device
) -> RunningWinner:
    """Assemble the parts of an image; NaN becomes class 0."""
    whole = RunningWinner.none_yet(size, device)
    for down, across, winners in parts:
        whole[down, across] = winners
    whole.winner.nan_to_num_(0.0)
    return whole


@dataclass(frozen=True, slots=True)
class _Decoder:
    """Computes full-size logits part by part, and the winners there.

    Attributes:
        stacked: Scaled logits (Q, rows, columns), patches of all windows sorted by position.
        classes: Class of each prompt, float32 (Q, 1, 1).
        rows: From stacked to original, vertically.
        columns: From stacked to original, horizontally.
        down: The matrix of `rows` on the logits' device, (height, rows).
        across: The matrix of `columns` on the logits' device, (columns, width).
    """

    stacked: Tensor
    classes: Tensor
    rows: Axis
    columns: Axis
    down: Tensor
    across: Tensor

    @classmethod
    def of(
        cls,
        logits: Tensor,
        plan: WindowPlan,
        size: tuple[int, int],
        class_of_query: Sequence[int],
        down: tuple[int, int],
        across: tuple[int, int],
    ) -> _Decoder:
        """Move everything to the logits' device, for a rectangle of the original image."""
        grid, device = logits.shape[2:4], logits.device
        rows = plan_axis(plan.tops, plan.window_height, plan.height, grid[0], size[0], part=down)
        columns = plan_axis(
            plan.lefts, plan.window_width, plan.width, grid[1], size[1], part=across
        )
        stacked = logits.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)
        stacked = stacked.index_select(1, rows.order.to(device))
        stacked = stacked.index_select(2, columns.order.to(device))
        classes = torch.tensor(class_of_query, dtype=torch.float32, device=device).view(-1, 1, 1)
        vertical, horizontal = rows.matrix.to(stacked), columns.matrix.T.contiguous().to(stacked)
        return cls(stacked, classes, rows, columns, vertical, horizontal)

    def only(self, queries: Sequence[int]) -> _Decoder:
        """Keep these prompts only."""
        chosen = torch.tensor(queries, dtype=torch.long, device=self.stacked.device)
        return replace(
            self,
            stacked=self.stacked.index_select(0, chosen),
            classes=self.classes.index_select(0, chosen),
        )

    def tiles(self) -> Iterator[tuple[slice, slice, RunningWinner]]:
        """Upsample a few rows vertically, then a few columns of them horizontally."""
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
                yield down, across, find_winners(tile, self.classes)

    def bands(
        self, *, image: Tensor, pamr: PamrSettings
    ) -> Iterator[tuple[slice, slice, RunningWinner]]:
        """Refine the logits before finding winners, in bands of rows as wide as the image.

        A band includes all rows that can influence it, so the result is the same as if the whole
        image were refined at once. Prompts are refined one group at a time. Memory is bounded by
        the weights of 8 neighbours per dilation, for BAND_PIXELS pixels or three times PAMR's reach
        in rows, whichever is more.
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
            parts = (
                find_winners(refine(planes, weights, pamr)[:, inner], classes)
                for planes, classes in self._groups(near)
            )
            yield slice(top, bottom), slice(width), reduce(RunningWinner.join, parts)

    def _groups(self, rows: slice) -> Iterator[tuple[Tensor, Tensor]]:
        down = self.down[rows]
        group = tile_size(self.stacked.device).floats // (len(down) * self.across.shape[1])
        for stacked, classes in zip(
            self.stacked.split(max(1, group)), self.classes.split(max(1, group)), strict=True
        ):
            yield down @ (stacked @ self.across), classes


def tile_size(device: torch.device) -> TileSize:
    """Return how much a device decodes at once, with all of its threads."""
    if device.type not in TILES:
        return TILES_ELSEWHERE
    one = TILES[device.type]
    return replace(one, floats=one.floats * torch.get_num_threads())
