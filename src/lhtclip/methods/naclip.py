"""NACLIP: keys with keys, drawn towards the neighbourhood (arXiv 2404.08181)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, is_number
from lhtclip.methods.method import LastBlock, Method


@dataclass(frozen=True, slots=True)
class NaclipSettings:
    """Settings of NACLIP.

    Attributes:
        sigma: Width of the neighbourhood's Gaussian, in patches, above 0.
    """

    sigma: float = 5.0

    def __post_init__(self) -> None:
        """Refuse a width that is not above 0."""
        if not (is_number(self.sigma) and self.sigma > 0):
            raise InputError(f"NACLIP's sigma must be above 0 patches, not {self.sigma!r}.")


def update(last: LastBlock, settings: NaclipSettings) -> Tensor:
    """A = softmax(s K Kᵀ + Ω)."""
    attention, x = last.attention, last.normed
    keys, values = attention.keys(x), attention.values(x)
    bias = neighbourhood(
        last.grid, settings.sigma, class_tokens=last.class_tokens, device=x.device
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
    positions = torch.cartesian_prod(rows, columns)
    squared = (positions[:, None] - positions).square().sum(dim=-1)
    return F.pad(torch.exp(-squared / (2 * sigma**2)), (class_tokens, 0) * 2)


NACLIP = Method(
    "naclip",
    update,
    residual=False,
    mlp=False,
    source="NACLIP, arXiv 2404.08181",
    settings=NaclipSettings(),
    joinable=True,
)
