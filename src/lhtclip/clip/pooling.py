"""A head that pools tokens by attention, and its value path for single tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lhtclip.clip.layers import Attention, Mlp


class PoolingHead(nn.Module):
    """Multi-head attention pooling: one learned query, the probe, then an MLP.

    Only the output of this head is in the space of the texts. For each attention head, the probe
    gathers a weighted mean of the patches' values. A single patch would get all the weight, because
    softmax over one key is 1. So `alone` replaces the mean by a token's own value and applies
    output projection and MLP as trained: every patch ends up where the image's feature does; only
    the choice among patches is left out.
    """

    def __init__(
        self, width: int, heads: int, hidden_width: int, *, activation: str, epsilon: float
    ) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(1, 1, width))
        self.attention = Attention(width, heads)
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.mlp = Mlp(width, hidden_width, activation)

    def alone(self, tokens: Tensor) -> Tensor:
        """Pool every token alone: (..., tokens, width) -> (..., tokens, width)."""
        return self._finish(self.attention.merge(self.attention.values(tokens)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool the tokens of each image: (batch, tokens, width) -> (batch, width)."""
        attention = self.attention
        queries = attention.queries(self.probe.expand(tokens.shape[0], -1, -1))
        mixed = attention.mix(queries, attention.keys(tokens), attention.values(tokens))
        return self._finish(attention.merge(mixed)).squeeze(1)

    def _finish(self, gathered: Tensor) -> Tensor:
        return gathered + self.mlp(self.norm(gathered))
