"""Rotary positions on a grid: queries and keys turn by the places of their tokens.

Pairs of channels turn by angles that grow with a token's place, so that the product of a query and
a key depends on how far apart the two are (arXiv 2104.09864). Of a head's channels, one half turns
by one coordinate of a patch and the other half by the other. Tokens before the patches stay as they
are, and so do values.

Methods that compare queries with queries or keys with keys get them turned, as the tower's own
attention does: patches that are far apart are then less similar for that alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.clip.layers import AnyAttention

_BASE = 10_000.0


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of all tokens, (tokens, head width): cosines and sines."""

    cosines: Tensor
    sines: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Turn pairs of channels of (..., tokens, head width); neighbours, as a rule.

        A method may leave out tokens before the patches; those given are the last ones.
        """
        start = self.cosines.shape[0] - x.shape[-2]
        return x * self.cosines[start:] + self.across(x) * self.sines[start:]

    def across(self, x: Tensor) -> Tensor:
        """Return each channel's partner in its pair, with the sign that a turn gives it."""
        first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack([-second, first], dim=-1).flatten(-2)


def turns_at(places: Tensor, head_width: int, *, before: int, dtype: torch.dtype) -> Turns:
    """Return the turns of patches, preceded by tokens that do not turn.

    Args:
        places: Two coordinates of each patch, (patches, 2); the first turns the first half of the
            channels.
        head_width: Channels of a head, a multiple of 4.
        before: How many tokens stand before the patches.
        dtype: Of the queries and keys.
    """
    bands = head_width // 4
    exponents = torch.arange(bands, device=places.device) / bands
    angles = (places[..., None] * _BASE**-exponents).flatten(1)  # (patches, head width / 2)
    angles = F.pad(angles.repeat_interleave(2, dim=1), (0, 0, before, 0))
    return Turns(angles.cos().to(dtype), angles.sin().to(dtype))


def places_on(
    grid: tuple[int, int], device: torch.device, *, side: int | None = None, offset: float = 0.0
) -> Tensor:
    """Return row and column of each patch, counted from 0: (rows * columns, 2) float32.

    Args:
        grid: Rows and columns of patches.
        device: Where they are computed.
        side: Scale each side of the grid to this length.
        offset: Added to each count before it is scaled: 0.5 for the centres of patches.
    """
    rows, columns = (torch.arange(length, device=device) + offset for length in grid)
    if side is not None:  # by lengths as tensors, since a graph is made for any grid
        rows, columns = (each * (side / torch.ones_like(each).sum()) for each in (rows, columns))
    return torch.cartesian_prod(rows, columns)


class TurnedAttention(AnyAttention):
    """The attention of a block on one grid: another one, its queries and keys turned."""

    def __init__(self, source: AnyAttention, turns: Turns) -> None:
        super().__init__()
        self.heads, self.head_width, self.scale = source.heads, source.head_width, source.scale
        self.source, self.turns = source, turns

    def queries(self, x: Tensor) -> Tensor:
        """Queries of normed tokens, per head, turned."""
        return self.turns(self.source.queries(x))

    def keys(self, x: Tensor) -> Tensor:
        """Keys of normed tokens, per head, turned."""
        return self.turns(self.source.keys(x))

    def values(self, x: Tensor) -> Tensor:
        """Values of normed tokens, per head."""
        return self.source.values(x)

    def settled(self, head_outputs: Tensor) -> Tensor:
        """Return A_h V_h of all heads as the output projection gets them."""
        return self.source.settled(head_outputs)

    def merge(self, head_outputs: Tensor) -> Tensor:
        """Concatenate the heads and project them back to the residual stream, bias included."""
        return self.source.merge(head_outputs)

    def projections(self, heads: Sequence[int]) -> Tensor:
        """Return W_o,h, (len(heads), head_width, width), as in `AnyAttention`."""
        return self.source.projections(heads)
