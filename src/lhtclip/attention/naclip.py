"""NACLIP: keys with keys, drawn towards the neighbourhood (arXiv 2404.08181)."""

from __future__ import annotations

import torch
from torch import Tensor

from lhtclip.attention.rule import Context, LastAttention, LastBlockRule

SIGMA = 5.0  # patches


def mix(attention: LastAttention, x: Tensor, context: Context) -> Tensor:
    """A = softmax(s K Kᵀ + Ω)."""
    keys, values = attention.keys(x), attention.values(x)
    bias = neighbourhood(context.grid, SIGMA).to(x)
    return attention.merge(attention.mix(keys, keys, values, bias=bias))


def neighbourhood(grid: tuple[int, int], sigma: float) -> Tensor:
    """Return Ω, added after the scaling: exp(-distance² / 2σ²), and 0 for the class token.

    Args:
        grid: Rows and columns of patches.
        sigma: Width in patches.

    Returns:
        (1 + patches, 1 + patches) float32, class token first.
    """
    rows, columns = (torch.arange(length, dtype=torch.float32) for length in grid)
    places = torch.cartesian_prod(rows, columns)
    squared = (places[:, None] - places).square().sum(dim=-1)
    return torch.nn.functional.pad(torch.exp(-squared / (2 * sigma**2)), (1, 0, 1, 0))


NACLIP = LastBlockRule("naclip", mix, residual=False, mlp=False, source="NACLIP, arXiv 2404.08181")
