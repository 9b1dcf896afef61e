"""What a literal method sees of the tower."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tests.literal.basics import Array, Grid, layer_norm
from tests.literal.self_attention import AttentionWeights


@dataclass(frozen=True)
class Inside:
    """What a method sees; layers are 1-based, and `prefix` tokens stand before the patches."""

    streams: list[Array]  # X^0 to X^{L-1}, the last one restored
    tensors: Mapping[str, Tensor]  # of the blocks, "0.norm1.weight" and so on
    heads: int
    grid: Grid
    prefix: int
    restore: Callable[[Array], Array]
    excess: float = 5.0  # of RF-CLIP's abnormal channels

    @property
    def depth(self) -> int:
        return len(self.streams)

    def attention(self, layer: int) -> AttentionWeights:
        return AttentionWeights.of(self.tensors, f"{layer - 1}.attention.", self.heads)

    def norm(self, x: Array, layer: int) -> Array:
        return layer_norm(x, self.tensors, f"{layer - 1}.norm1")

    def normed(self, layer: int) -> Array:
        """What enters the attention of a layer."""
        return self.norm(self.streams[layer - 1], layer)


def lengthless(tokens: Array) -> Array:
    return np.stack([token / np.linalg.norm(token) for token in tokens])
