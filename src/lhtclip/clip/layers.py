"""A transformer block whose parts can be used one by one: norms, q/k/v, heads, output, MLP."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lhtclip.errors import CheckpointError


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid approximation of GELU that OpenAI's checkpoints were trained with."""
    gate = (1.702 * x).sigmoid_()
    return gate * x if gate.requires_grad else gate.mul_(x)  # bound by memory


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "quick_gelu": quick_gelu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}


class AnyAttention(nn.Module, ABC):
    """Multi-head attention whose parts can be used one by one.

    Shapes: x is (batch, tokens, width); everything per head is (batch, heads, tokens, head_width).

    Attributes:
        heads: Number of heads.
        head_width: Width of each.
        scale: s = d^-1/2, the factor before the softmax.
    """

    heads: int
    head_width: int
    scale: float

    @abstractmethod
    def queries(self, x: Tensor) -> Tensor:
        """Queries of normed tokens, per head."""

    @abstractmethod
    def keys(self, x: Tensor) -> Tensor:
        """Keys of normed tokens, per head."""

    @abstractmethod
    def values(self, x: Tensor) -> Tensor:
        """Values of normed tokens, per head."""

    @abstractmethod
    def merge(self, head_outputs: Tensor) -> Tensor:
        """Concatenate the heads and project them back to the residual stream, bias included."""

    @abstractmethod
    def projections(self, heads: Sequence[int]) -> Tensor:
        """Return W_o,h, which takes single heads to the residual stream, without bias.

        Args:
            heads: 0-based heads.

        Returns:
            (len(heads), head_width, width): what `settled` returns times W_o,h, summed over all
            heads, is `merge` without its bias.
        """

    def settled(self, head_outputs: Tensor) -> Tensor:
        """Return A_h V_h of all heads as the output projection gets them; as a rule, unchanged."""
        return head_outputs

    def mix(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        bias: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Return softmax(s Q Kᵀ + bias) V for every head, fused."""
        return F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=bias, is_causal=causal, scale=self.scale
        )

    def head_outputs(
        self, x: Tensor, *, bias: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Return A_h V_h of every head: (batch, heads, tokens, head_width)."""
        return self.mix(self.queries(x), self.keys(x), self.values(x), bias=bias, causal=causal)

    def contributions(self, head_outputs: Tensor, heads: Sequence[int]) -> Tensor:
        """Return what single heads add to the residual stream, A_h V_h W_o,h, without bias.

        Args:
            head_outputs: (batch, heads, tokens, head_width), all heads of this layer.
            heads: 0-based heads.

        Returns:
            (batch, len(heads), tokens, width).
        """
        return self.settled(head_outputs)[:, list(heads)] @ self.projections(heads)

    def forward(self, x: Tensor, *, bias: Tensor | None = None, causal: bool = False) -> Tensor:
        """Return the attention update of normed tokens x."""
        return self.merge(self.head_outputs(x, bias=bias, causal=causal))


class Attention(AnyAttention):
    """Attention with one matrix for queries, keys and values.

    Attributes:
        gain: LayerScale (arXiv 2103.17239): a factor for each channel of the update, (width,); None
            in a block without it.
    """

    def __init__(self, width: int, heads: int, *, scaled: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = width // heads
        self.scale = self.head_width**-0.5
        self.in_projection = nn.Linear(width, 3 * width)  # rows: queries, keys, values
        self.out_projection = nn.Linear(width, width)
        self.gain = nn.Parameter(torch.ones(width)) if scaled else None

    def queries(self, x: Tensor) -> Tensor:
        """Queries of normed tokens, per head."""
        return self._project(x, 0)

    def keys(self, x: Tensor) -> Tensor:
        """Keys of normed tokens, per head."""
        return self._project(x, 1)

    def values(self, x: Tensor) -> Tensor:
        """Values of normed tokens, per head."""
        return self._project(x, 2)

    def head_outputs(
        self, x: Tensor, *, bias: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Return A_h V_h of every head, by one product for queries, keys and values."""
        batch, tokens, _ = x.shape
        projected = self.in_projection(x).view(batch, tokens, 3, self.heads, self.head_width)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4).unbind(0)
        return self.mix(queries, keys, values, bias=bias, causal=causal)

    def merge(self, head_outputs: Tensor) -> Tensor:
        """Concatenate the heads and project them back to the residual stream, bias included."""
        return _scaled(self.out_projection(joined(head_outputs)), self.gain)

    def projections(self, heads: Sequence[int]) -> Tensor:
        """Return W_o,h, (len(heads), head_width, width), as in `AnyAttention`."""
        weight = self.out_projection.weight.unflatten(1, (self.heads, self.head_width))
        return torch.stack([_scaled(weight[:, head].T, self.gain) for head in heads])

    def _project(self, x: Tensor, part: int) -> Tensor:
        width = x.shape[-1]
        rows = slice(part * width, (part + 1) * width)
        projected = F.linear(x, self.in_projection.weight[rows], self.in_projection.bias[rows])
        return projected.view(*x.shape[:-1], self.heads, self.head_width).transpose(-3, -2)


def joined(head_outputs: Tensor) -> Tensor:
    """Concatenate the heads: (..., heads, tokens, head_width) -> (..., tokens, width)."""
    return head_outputs.transpose(-3, -2).flatten(-2)


def _scaled(update: Tensor, gain: Tensor | None) -> Tensor:
    return update if gain is None else update * gain


class Mlp(nn.Module):
    """The feed-forward network of a block.

    Attributes:
        gain: LayerScale, as in `Attention`.
    """

    def __init__(
        self, width: int, hidden_width: int, activation: str, *, scaled: bool = False
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise CheckpointError(
                f"config.json asks for the activation {activation!r}; "
                f"known are {', '.join(ACTIVATIONS)}."
            )
        self.activation = ACTIVATIONS[activation]
        self.expand = nn.Linear(width, hidden_width)
        self.contract = nn.Linear(hidden_width, width)
        self.gain = nn.Parameter(torch.ones(width)) if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the MLP update of normed tokens x."""
        return _scaled(self.contract(self.activation(self.expand(x))), self.gain)


class GatedMlp(nn.Module):
    """A feed-forward network with a gate, SwiGLU (arXiv 2002.05202): (silu(x W) ⊙ x V) W₂.

    Its parts have other names than those of `Mlp`, because files call them differently.

    Attributes:
        gain: LayerScale, as in `Attention`.
    """

    def __init__(self, width: int, hidden_width: int, *, scaled: bool = False) -> None:
        super().__init__()
        self.gate_and_expand = nn.Linear(width, 2 * hidden_width)  # rows: W, V
        self.contract_gated = nn.Linear(hidden_width, width)
        self.gain = nn.Parameter(torch.ones(width)) if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the MLP update of normed tokens x."""
        gate, passed = self.gate_and_expand(x).chunk(2, dim=-1)
        return _scaled(self.contract_gated(F.silu(gate) * passed), self.gain)


class Block(nn.Module):
    """A pre-norm transformer block, of an attention and an MLP of any kind.

    Attributes:
        closing: A norm of the residual stream after the block, where a tower has one on its way.
    """

    def __init__(
        self,
        attention: AnyAttention,
        mlp: Mlp | GatedMlp,
        *,
        width: int,
        epsilon: float,
        closing: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=epsilon)
        self.attention = attention
        self.norm2 = nn.LayerNorm(width, eps=epsilon)
        self.mlp = mlp
        self.closing = nn.LayerNorm(width, eps=epsilon) if closing else None

    def forward(self, x: Tensor, *, bias: Tensor | None = None, causal: bool = False) -> Tensor:
        """Return the residual stream after this block."""
        x = x + self.attention(self.norm1(x), bias=bias, causal=causal)
        return self.closed(x + self.mlp(self.norm2(x)))

    def closed(self, x: Tensor) -> Tensor:
        """Return the residual stream as it leaves the block, from the sum of all updates."""
        return x if self.closing is None else self.closing(x)

    def with_attention(self, attention: AnyAttention) -> Block:
        """Return a block of the same norms and MLP, not copies of them, with another attention."""
        other = Block.__new__(Block)
        nn.Module.__init__(other)
        other.norm1, other.attention, other.norm2, other.mlp, other.closing = (
            self.norm1,
            attention,
            self.norm2,
            self.mlp,
            self.closing,
        )
        return other
