"""What a last-block rule is: how the last block mixes its patch tokens, and what it keeps.

A published method replaces CLIP's last block. Its `mix` says which attention is used in place of
softmax(s Q Kᵀ); `residual` and `mlp` say whether the block's residual connection and feed-forward
network stay. These are the published defaults, and both can be overridden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class LastAttention(Protocol):
    """What a rule may use of the last block's attention.

    x is the normed residual stream (batch, 1 + patches, width), class token first; everything per
    head is (batch, heads, 1 + patches, head width).
    """

    scale: float  # s = d^-1/2

    def queries(self, x: Tensor) -> Tensor:
        """Queries of all heads."""
        ...

    def keys(self, x: Tensor) -> Tensor:
        """Keys of all heads."""
        ...

    def values(self, x: Tensor) -> Tensor:
        """Values of all heads."""
        ...

    def mix(
        self, queries: Tensor, keys: Tensor, values: Tensor, *, bias: Tensor | None = None
    ) -> Tensor:
        """Return softmax(s Q Kᵀ + bias) V of all heads."""
        ...

    def merge(self, head_outputs: Tensor) -> Tensor:
        """Concatenate the heads and apply the output projection."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may know beside the tokens."""

    grid: tuple[int, int]  # rows and columns of patches


Mix = Callable[[LastAttention, Tensor, Context], Tensor]


@dataclass(frozen=True, slots=True)
class LastBlockRule:
    """One published method: its attention, what it keeps of the block, and where it stands."""

    name: str
    mix: Mix
    residual: bool
    mlp: bool
    source: str
