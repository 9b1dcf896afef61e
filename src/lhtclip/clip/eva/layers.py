"""The parts of EVA-02's blocks that CLIP's do not have (arXiv 2303.11331).

Both of a block's updates have a norm inside ("sub-LN"): before the output projection of attention,
across all heads, and before that of the MLP.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from lhtclip.clip.layers import AnyAttention, GatedMlp, joined


class EvaAttention(AnyAttention):
    """Attention whose heads are normed together before the output projection.

    So a head's contribution to the residual stream depends on the others: `settled` returns the
    normed outputs, which the projections of single heads take there exactly.
    """

    def __init__(self, width: int, heads: int, *, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = width // heads
        self.scale = self.head_width**-0.5
        self.query_projection = nn.Linear(width, width)
        self.key_projection = nn.Linear(width, width, bias=False)
        self.value_projection = nn.Linear(width, width)
        self.inner_norm = nn.LayerNorm(width, eps=epsilon)
        self.out_projection = nn.Linear(width, width)

    def queries(self, x: Tensor) -> Tensor:
        """Queries of normed tokens, per head."""
        return self._split(self.query_projection(x))

    def keys(self, x: Tensor) -> Tensor:
        """Keys of normed tokens, per head."""
        return self._split(self.key_projection(x))

    def values(self, x: Tensor) -> Tensor:
        """Values of normed tokens, per head."""
        return self._split(self.value_projection(x))

    def settled(self, head_outputs: Tensor) -> Tensor:
        """Return A_h V_h of all heads, normed together for each token."""
        return self._split(self.inner_norm(joined(head_outputs)))

    def merge(self, head_outputs: Tensor) -> Tensor:
        """Concatenate the heads, norm them, and project them back to the residual stream."""
        return self.out_projection(self.inner_norm(joined(head_outputs)))

    def projections(self, heads: Sequence[int]) -> Tensor:
        """Return W_o,h, (len(heads), head_width, width), as in `AnyAttention`."""
        weight = self.out_projection.weight.unflatten(1, (self.heads, self.head_width))
        return weight[:, list(heads)].permute(1, 2, 0)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.head_width)).transpose(-3, -2)


class EvaMlp(GatedMlp):
    """A gated feed-forward network with a norm before its output projection."""

    def __init__(self, width: int, hidden_width: int, *, epsilon: float) -> None:
        super().__init__(width, hidden_width)
        self.inner_norm = nn.LayerNorm(hidden_width, eps=epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Return the MLP update of normed tokens x."""
        gate, passed = self.gate_and_expand(x).chunk(2, dim=-1)
        return self.contract_gated(self.inner_norm(F.silu(gate) * passed))
