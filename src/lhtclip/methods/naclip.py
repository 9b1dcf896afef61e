"""NACLIP: keys with keys, drawn towards the neighbourhood (arXiv 2404.08181)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.methods.method import Context, LastAttention, Method

SIGMA = 5.0  # patches


def mix(attention: LastAttention, x: Tensor, context: Context) -> Tensor:
    """A = softmax(s K Kᵀ + Ω)."""
    keys, values = attention.keys(x), attention.values(x)
    bias = neighbourhood(
        context.grid, SIGMA, class_tokens=context.class_tokens, device=x.device
    ).to(x.dtype)
    return attention.merge(attention.mix(keys, keys, values, bias=bias))


def neighbourhood(
    grid: tuple[int, int], sigma: float, *, class_tokens: int, device: torch.device | None = None
) -> Tensor:
    """Return Ω, added after the scaling: exp(-distance² / 2σ²), and 0 for the class token.

    Args:
        grid: Rows and columns of patches.
        sigma: Width in patches.
        class_tokens: How many tokens stand before the patches.
        device: Where it is computed; None for the CPU.

    Returns:
        (class tokens + patches, class tokens + patches) float32.
    """
    rows, columns = (torch.arange(length, dtype=torch.float32, device=device) for length in grid)
    places = torch.cartesian_prod(rows, columns)
    squared = (places[:, None] - places).square().sum(dim=-1)
    return F.pad(torch.exp(-squared / (2 * sigma**2)), (class_tokens, 0) * 2)


NACLIP = Method("naclip", mix, residual=False, mlp=False, source="NACLIP, arXiv 2404.08181")
