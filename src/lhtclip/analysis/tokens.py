"""Abnormal tokens by layer: number, positions, similarity, attention, channels.

A patch token is abnormal if its Hoyer score is above τ (arXiv 2510.23894 §3.1). Everything is a
sum: one pass over any number of images, and a few vectors per layer in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.analysis import sparsity
from lhtclip.analysis.token_sums import Kind as Kind
from lhtclip.analysis.token_sums import KindSums, ratio, similarity_between
from lhtclip.analysis.trace import LayerTrace, trace
from lhtclip.clip.towers import ImageTower
from lhtclip.techniques.atr import hoyer
from lhtclip.techniques.channels import channel_shares, largest_channels

CHANNELS = 8  # reported per layer


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of the residual stream, and its share in the abnormal tokens of a layer.

    Attributes:
        index: 0-based index.
        share: Share of the abnormal tokens whose largest absolute activation is here.
        abnormal: Mean absolute activation of the abnormal tokens.
        normal: Mean absolute activation of the normal tokens.
    """

    index: int
    share: float
    abnormal: float
    normal: float


@dataclass(frozen=True, slots=True)
class LayerTokens:
    """The patch tokens after a layer.

    Attributes:
        layer: 1-based layer.
        mean: Mean of their Hoyer scores.
        highest: Maximum of their Hoyer scores.
        histogram: Counts of the scores over even bins of [0, 1].
        positions: Mean score by row and column of the grid.
        abnormal_positions: Share of abnormal tokens by row and column.
        abnormal: Statistics of the abnormal tokens.
        normal: Statistics of the normal tokens.
        surrounded: Share of the abnormal tokens without a normal neighbour (of 8, fewer at the
            border), which ATR cannot replace. NaN without abnormal tokens.
        channels: The channels with the largest mean absolute activation in abnormal tokens, largest
            first; none without abnormal tokens.
    """

    layer: int
    mean: float
    highest: float
    histogram: tuple[int, ...]
    positions: tuple[tuple[float, ...], ...]
    abnormal_positions: tuple[tuple[float, ...], ...]
    abnormal: Kind
    normal: Kind
    surrounded: float
    channels: tuple[Channel, ...]

    @property
    def share(self) -> float:
        """Share of the tokens that are abnormal."""
        return self.abnormal.count / (self.abnormal.count + self.normal.count)

    def quantile(self, share: float) -> float:
        """Return the Hoyer score that this share of the tokens lies below, exact to 0.001."""
        return sparsity.quantile(self.histogram, share)


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """Results of a pass.

    Attributes:
        layers: One entry per layer, first to last.
        similarity: Mean cosine similarity of an abnormal token of one layer and one of another,
            over all images and positions; on the diagonal, of two different tokens of one layer.
            NaN if there are none.
        channels: The channels with the largest mean share of the patches of all layers, 0-based,
            largest first (`lhtclip.techniques.channels`).
    """

    layers: tuple[LayerTokens, ...]
    similarity: tuple[tuple[float, ...], ...]
    channels: tuple[int, ...]

    @property
    def entering_last(self) -> LayerTokens:
        """The tokens that enter the last block (X^{L-1}), which ATR judges."""
        return self.layers[max(len(self.layers) - 2, 0)]


@torch.inference_mode()
def token_statistics(
    vision: ImageTower,
    batches: Iterable[Tensor],
    *,
    threshold: float = 0.5,
) -> TokenStatistics:
    """Count the patch tokens of all layers in one pass.

    Args:
        vision: The image tower.
        batches: Normalised pixels (windows, 3, height, width), all of one size; no labels needed.
        threshold: τ, the Hoyer score above which a token is abnormal.
    """
    census = TokenCensus(threshold=threshold)
    for pixels in batches:
        census.add(trace(vision, pixels), vision.grid(pixels))
    return census.statistics()


class TokenCensus:
    """Counts batch by batch; `statistics` is available at any time after the first."""

    def __init__(self, *, threshold: float = 0.5) -> None:
        """Start empty; tokens with a Hoyer score above the threshold are abnormal."""
        self._threshold = threshold
        self._layers: list[_LayerSums] = []

    def add(self, steps: Iterable[LayerTrace], grid: tuple[int, int]) -> None:
        """Count a batch.

        Args:
            steps: All layers of a pass, first to last.
            grid: Rows and columns of patches, the same in every batch.
        """
        before: Tensor | None = None  # which of the tokens that enter a layer are abnormal
        for step in steps:
            if before is not None:
                received = step.attention_received[:, step.class_tokens :]
                self._layers[step.layer - 2].add_attention(received, before)
            if len(self._layers) < step.layer:
                self._layers.append(_LayerSums(step.patches.shape[-1], grid))
            before = self._layers[step.layer - 1].add(step.patches.float(), self._threshold)

    def statistics(self) -> TokenStatistics:
        """Divide the sums."""
        layers = tuple(sums.result(layer) for layer, sums in enumerate(self._layers, start=1))
        kinds = [sums.abnormal for sums in self._layers]
        similarity = tuple(
            tuple(similarity_between(one, other) for other in kinds) for one in kinds
        )
        shares = torch.stack([sums.shares for sums in self._layers]).mean(dim=0)
        return TokenStatistics(layers, similarity, tuple(largest_channels(shares).tolist()))


class _LayerSums:
    """Sums over all tokens of one layer, on the CPU."""

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        self._grid = grid
        self._images = self._surrounded = 0
        self._highest = 0.0
        self._histogram = torch.zeros(sparsity.BINS, dtype=torch.long)
        self._scores = torch.zeros(grid, dtype=torch.float64)
        self._counts = torch.zeros(grid, dtype=torch.float64)  # of abnormal tokens
        self.shares = torch.zeros(width, dtype=torch.float64)  # of the channels
        self.abnormal, self.normal = KindSums(width), KindSums(width)

    def add(self, tokens: Tensor, threshold: float) -> Tensor:
        """Count (batch, patches, width) float32; return which are abnormal, (batch, patches)."""
        scores = hoyer(tokens)
        abnormal = scores > threshold
        maps = abnormal.unflatten(1, self._grid)
        self._images += len(tokens)
        self._histogram += sparsity.histogram(scores).cpu()
        self._highest = max(self._highest, float(scores.max()))
        self._scores += scores.unflatten(1, self._grid).sum(dim=0).cpu().double()
        self._counts += maps.sum(dim=0).cpu().double()
        self._surrounded += int(surrounded(maps).sum())
        self.shares += channel_shares(tokens).sum(dim=(0, 1)).cpu().double()
        self.abnormal.add(tokens, abnormal)
        self.normal.add(tokens, ~abnormal)
        return abnormal

    def add_attention(self, received: Tensor, abnormal: Tensor) -> None:
        self.abnormal.add_attention(received, abnormal)
        self.normal.add_attention(received, ~abnormal)

    def result(self, layer: int) -> LayerTokens:
        positions, counts = (sums / self._images for sums in (self._scores, self._counts))
        return LayerTokens(
            layer=layer,
            mean=float(positions.mean()),
            highest=self._highest,
            histogram=tuple(self._histogram.tolist()),
            positions=_rows(positions),
            abnormal_positions=_rows(counts),
            abnormal=self.abnormal.result(),
            normal=self.normal.result(),
            surrounded=ratio(self._surrounded, self.abnormal.count),
            channels=self._channels(),
        )

    def _channels(self) -> tuple[Channel, ...]:
        abnormal, normal = self.abnormal, self.normal
        if not abnormal.count:
            return ()
        return tuple(
            Channel(
                index=int(index),
                share=int(abnormal.largest[index]) / abnormal.count,
                abnormal=float(abnormal.magnitudes[index]) / abnormal.count,
                normal=ratio(float(normal.magnitudes[index]), normal.count),
            )
            for index in abnormal.magnitudes.argsort(descending=True, stable=True)[:CHANNELS]
        )


def surrounded(abnormal: Tensor) -> Tensor:
    """Return which abnormal tokens have no normal neighbour inside the grid.

    Args:
        abnormal: bool (batch, rows, columns).

    Returns:
        bool (batch, rows, columns).
    """
    normal_near = F.max_pool2d((~abnormal).float()[:, None], 3, stride=1, padding=1)[:, 0]
    return abnormal & (normal_near <= 0)  # beyond the border the pool reads minus infinity


def _rows(values: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in values.tolist())
