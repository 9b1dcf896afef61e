"""ATR, abnormal token replacement: neighbours replace sparse tokens (arXiv 2510.23894).

A few patch tokens carry large activations in a few channels, whatever the image shows there. They
are found by their sparsity and replaced by a weighted mean of the normal patches around them. They
can also be found by those channels, as in RF-CLIP: see `lhtclip.techniques.channels`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, check_kind, is_number, unknown
from lhtclip.techniques.channels import EXCESS, channel_mask, check_channels, overfull


@dataclass(frozen=True, slots=True)
class AtrSettings:
    """Settings of ATR; the paper leaves the last three open.

    Attributes:
        threshold: τ, the Hoyer score above which a token is abnormal. The paper uses 0.5.
        sigma: Width of the Gaussian over the 8 neighbours, in patches. The paper gives no value; 1
            is usual at this distance, and the result hardly depends on it.
        normalised: Divide by the sum of the weights used. "Weighted aggregation" could also mean
            the plain sum, but that changes a token's length, and SHE mixes tokens before any norm
            could undo it.
        surrounded: What happens to a token whose neighbours are all abnormal: "keep" leaves it,
            "zero" sets it to zero. The paper does not say; keeping adds no assumption.
        channels: Abnormal channels, 0-based. If there are any, a token is abnormal if one of them
            is overfull, whatever its Hoyer score; SHE still judges its heads by their scores.
        excess: How many even shares of a token an abnormal channel may hold, above 0.
    """

    threshold: float = 0.5
    sigma: float = 1.0
    normalised: bool = True
    surrounded: Literal["keep", "zero"] = "keep"
    channels: tuple[int, ...] = ()
    excess: float = EXCESS

    def __post_init__(self) -> None:
        """Validate the settings."""
        if not is_number(self.threshold):
            raise InputError(f"ATR's threshold must be a number, not {self.threshold!r}.")
        if not (is_number(self.sigma) and self.sigma > 0):
            raise InputError(f"ATR's sigma must be above 0 patches, not {self.sigma!r}.")
        if not isinstance(cast("object", self.normalised), bool):
            raise InputError(f"ATR's normalised must be True or False, not {self.normalised!r}.")
        check_kind("surrounded", self.surrounded, str)
        if self.surrounded not in ("keep", "zero"):
            raise unknown("treatment of surrounded tokens", self.surrounded, ("keep", "zero"))
        check_channels(self.channels, self.excess)


def hoyer(tokens: Tensor) -> Tensor:
    """Return the sparsity of each token: (√D - ‖x‖₁ / ‖x‖₂) / (√D - 1), 0 even to 1 one-hot.

    Args:
        tokens: (..., D).

    Returns:
        (...) float32, or float64 for float64 tokens. A token of zeros scores 0.
    """
    root = math.sqrt(tokens.shape[-1])
    dtype = torch.promote_types(tokens.dtype, torch.float32)
    total = tokens.abs().sum(dim=-1, dtype=dtype)  # ‖x‖₁; faster than the norm of order 1
    length = torch.linalg.vector_norm(tokens, dim=-1, dtype=dtype)  # ‖x‖₂
    ratio = total / length.clamp_min(torch.finfo(dtype).tiny)
    score = (root - ratio) / (root - 1)
    return torch.where(length > 0, score.clamp(0, 1), 0.0)  # rounding may leave the range


def abnormal_patches(patches: Tensor, settings: AtrSettings) -> Tensor:
    """Return which patch tokens are abnormal: by Hoyer's score, or by the abnormal channels.

    Args:
        patches: (batch, patches, width).
        settings: τ, or channels and their excess.

    Returns:
        bool (batch, patches).
    """
    if settings.channels:
        return overfull(patches, channel_mask(patches, settings.channels), settings.excess)
    return hoyer(patches) > settings.threshold


def replace_abnormal(
    patches: Tensor, grid: tuple[int, int], settings: AtrSettings, *, abnormal: Tensor | None = None
) -> Tensor:
    """Replace abnormal patch tokens by their normal neighbours; all others stay bitwise equal.

    Args:
        patches: Patch tokens without the class token, (batch, rows * columns, width).
        grid: Rows and columns of patches.
        settings: Threshold and weights.
        abnormal: Which tokens to replace, bool (batch, rows * columns); by default those of
            `abnormal_patches`.

    Returns:
        (batch, rows * columns, width).
    """
    if abnormal is None:
        abnormal = abnormal_patches(patches, settings)
    if abnormal.device.type == "cpu" and not torch.compiler.is_compiling() and not abnormal.any():
        return patches  # most heads have none; a GPU would have to be synchronised
    replaced = abnormal[..., None]
    mixed = _around(patches.float().masked_fill(replaced, 0.0), grid, settings.sigma)  # Σ w x
    total = _around((~replaced).float(), grid, settings.sigma)  # Σ w
    if settings.normalised:
        mixed = mixed / total.clamp_min(torch.finfo(torch.float32).tiny)
    if settings.surrounded == "keep":
        replaced = replaced & (total > 0)
    return torch.where(replaced, mixed.to(patches.dtype), patches)


def _around(tokens: Tensor, grid: tuple[int, int], sigma: float) -> Tensor:
    """Sum the 8 neighbours of every position, weighted by the Gaussian; shapes as above.

    Positions outside the grid count as zero. The sum is computed for all positions: selecting those
    that need it would force a GPU to synchronise, and cannot be exported to a graph.
    """
    offsets = torch.arange(-1, 2, dtype=torch.float32, device=tokens.device)
    squared = offsets[:, None].square() + offsets.square()
    kernel = torch.exp(-squared / (2 * sigma**2)) * (squared > 0)
    image = tokens.unflatten(1, grid).permute(0, 3, 1, 2)  # (batch, width, rows, columns)
    width = tokens.shape[-1]
    summed = F.conv2d(image, kernel.expand(width, 1, 3, 3), padding=1, groups=width)
    return summed.permute(0, 2, 3, 1).flatten(1, 2)
