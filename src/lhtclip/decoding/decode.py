"""Window logits to labels: upsampling, averaging, resizing, softmax, winner, in small tiles.

Bilinear upsampling of every window, the average where windows overlap, and the bilinear resize to
the original size are linear and separable. Together they are two matrices that depend on sizes
only: the full-size logits of a class are M_y · L · M_xᵀ, or the mean of that over several scales of
the image. No array of classes × height × width ever exists; memory is bounded by the tile, or with
PAMR by a band of rows. Everything stays on the logits' device until the labels are known, and
nothing on the way waits for that device.
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

from lhtclip.decoding.interpolation import resize_rows
from lhtclip.decoding.online_softmax import RunningWinner, find_winners
from lhtclip.decoding.pamr import PamrSettings, affinity, refine
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.decoding.tlp import propagated
from lhtclip.decoding.upsampling import Upsampling
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
    others: Sequence[tuple[Tensor, WindowPlan]] = (),
    fused: bool = False,
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
        others: Logits and windows of the same image at other scales; the logits of a pixel are the
            mean over all scales.
        fused: Use one kernel for everything up to the winners, at one scale and without PAMR;
            needs Triton and a CUDA device.

    Returns:
        Labels, integers (height, width), and scores, the winner's probability in [0, 1]. A pixel
        that the threshold moves to class 0 keeps its winner's score.

    Raises:
        InputError: PAMR was requested without an image, or TLP without an image or texts.
    """
    scales: Scales = ((logits, plan), *others)
    if settings.tlp is not None:
        if image is None or texts is None:
            raise InputError("TLP needs the resized image and the embeddings of the prompts.")
        scales = (propagated(scales, size, texts=texts, image=image, settings=settings.tlp),)
    if settings.pamr is None:
        parts = _Decoder.fused if fused and len(scales) == 1 else _Decoder.tiles
    elif image is None:
        raise InputError("PAMR follows the edges of the image: give decode the resized image.")
    else:
        parts = partial(_Decoder.bands, image=image, pamr=settings.pamr)
    side = AXIS_FLOATS if settings.pamr is None else sys.maxsize
    factor = settings.logit_scale / len(scales)
    scaled = tuple((each * factor, where) for each, where in scales)
    decoders = partial(_decoders, scaled, size, class_of_query, at_most=side)
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


Scales: TypeAlias = tuple[tuple[Tensor, WindowPlan], ...]
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
    scales: Scales, size: tuple[int, int], class_of_query: Sequence[int], *, at_most: int
) -> Iterator[tuple[int, int, _Decoder]]:
    """Yield the top, the left and the decoder of rectangles whose matrices stay small."""
    tall = max(len(plan.tops) * logits.shape[2] for logits, plan in scales)
    wide = max(len(plan.lefts) * logits.shape[3] for logits, plan in scales)
    for down in _stretches(size[0], at_most // tall):
        for across in _stretches(size[1], at_most // wide):
            decoder = _Decoder.of(scales, size, class_of_query, down, across)
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
        scales: Of each scale the logits, divided by the number of scales, so that sums are means.
        classes: Class of each prompt, float32 (Q, 1, 1).
    """

    scales: tuple[Upsampling, ...]
    classes: Tensor

    @classmethod
    def of(
        cls,
        scales: Scales,
        size: tuple[int, int],
        class_of_query: Sequence[int],
        down: tuple[int, int],
        across: tuple[int, int],
    ) -> _Decoder:
        """Move everything to the logits' device, for a rectangle of the original image."""
        device = scales[0][0].device
        classes = torch.tensor(class_of_query, dtype=torch.float32, device=device).view(-1, 1, 1)
        return cls(tuple(Upsampling.of(*each, size, down, across) for each in scales), classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Prompts, and height and width of the rectangle in pixels."""
        first = self.scales[0]
        return len(self.classes), len(first.down), first.across.shape[1]

    def only(self, queries: Sequence[int]) -> _Decoder:
        """Keep these prompts only."""
        chosen = torch.tensor(queries, dtype=torch.long, device=self.classes.device)
        scales = tuple(each.only(chosen) for each in self.scales)
        return _Decoder(scales, self.classes.index_select(0, chosen))

    def tiles(self) -> Iterator[tuple[slice, slice, RunningWinner]]:
        """Upsample a few rows vertically, then a few columns of them horizontally."""
        count, height, width = self.shape
        if not count:
            return
        limit = tile_size(self.classes.device)
        step = max(1, limit.floats // (count * min(limit.columns, width)))
        for top in range(0, height, step):
            down = slice(top, min(top + step, height))
            tall = [each.tall(down) for each in self.scales]
            for left in range(0, width, limit.columns):
                across = slice(left, min(left + limit.columns, width))
                both = zip(self.scales, tall, strict=True)
                tile = reduce(torch.add, (each.tile(rows, across) for each, rows in both))
                tile = tile.view(count, -1, tile.shape[-1])
                yield down, across, find_winners(tile, self.classes)

    def fused(self) -> Iterator[tuple[slice, slice, RunningWinner]]:
        """Find all winners with one kernel; there must be one scale."""
        from lhtclip.decoding.fused import fused_winners

        _, height, width = self.shape
        yield slice(height), slice(width), fused_winners(self.scales[0], self.classes)

    def bands(
        self, *, image: Tensor, pamr: PamrSettings
    ) -> Iterator[tuple[slice, slice, RunningWinner]]:
        """Refine the logits before finding winners, in bands of rows as wide as the image.

        A band includes all rows that can influence it, so the result is the same as if the whole
        image were refined at once. Prompts are refined one group at a time. Memory is bounded by
        the weights of 8 neighbours per dilation, for BAND_PIXELS pixels or three times PAMR's reach
        in rows, whichever is more.
        """
        count, height, width = self.shape
        if not count:
            return
        guide = resize_rows(
            image.to(self.scales[0].stacked).transpose(0, 1), height
        )  # (height, channels, w)
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
        count, height, width = self.shape
        group = max(1, tile_size(self.classes.device).floats // (len(range(height)[rows]) * width))
        for start in range(0, count, group):
            some = slice(start, start + group)
            planes = reduce(torch.add, (each.planes(some, rows) for each in self.scales))
            yield planes, self.classes[some]


def tile_size(device: torch.device) -> TileSize:
    """Return how much a device decodes at once, with all of its threads."""
    if device.type not in TILES:
        return TILES_ELSEWHERE
    one = TILES[device.type]
    return replace(one, floats=one.floats * torch.get_num_threads())
