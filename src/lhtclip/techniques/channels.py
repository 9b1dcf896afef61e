"""Abnormal channels: a few dimensions of the residual stream that abnormal tokens overfill.

RF-CLIP (arXiv 2511.16170) finds abnormal tokens by them. A channel's share of a token f is

    (f_j - min f) / Σ (f - min f),

so an even token has shares of 1 / width. The paper leaves the minimum out; its released code does
not, and without it the sum of a token of both signs can vanish. The channels are those with the
largest mean share over the patches of all layers. They belong to a checkpoint, not to the images
that they are found on, which need no labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lhtclip.errors import InputError, is_number, is_whole

COUNT = 8  # channels, as many as RF-CLIP publishes for each tower
EXCESS = 5.0  # even shares: the published τ is 5 / width


def check_channels(channels: object, excess: float) -> None:
    """Check abnormal channels and the excess that makes a token abnormal.

    Raises:
        InputError: They are not a tuple of whole numbers from 0 on, or the excess is not above 0.
    """
    if not (isinstance(channels, tuple) and all(is_whole(each, least=0) for each in channels)):
        raise InputError(f"Abnormal channels are whole numbers from 0 on, not {channels!r}.")
    if not (is_number(excess) and excess > 0):
        raise InputError(f"The excess of abnormal channels must be above 0, not {excess!r}.")


def channel_shares(tokens: Tensor) -> Tensor:
    """Return each channel's share of each token, (..., width) in [0, 1]; a flat token has zeros."""
    above = tokens - tokens.amin(dim=-1, keepdim=True)
    return above / above.sum(dim=-1, keepdim=True).clamp_min(1e-8)


def largest_channels(shares: Tensor) -> Tensor:
    """Return the channels with the largest shares, largest first: (..., width) to (..., 8)."""
    return shares.topk(min(COUNT, shares.shape[-1]), dim=-1).indices


def channel_mask(patches: Tensor, channels: tuple[int, ...]) -> Tensor:
    """Return which channels are abnormal.

    Args:
        patches: Patch tokens, (batch, patches, width).
        channels: 0-based; none for those of each image whose mean share over its patches is
            largest.

    Returns:
        bool (batch or 1, 1, width).

    Raises:
        InputError: A tower of this width has no such channel.
    """
    width = patches.shape[-1]
    if channels and max(channels) >= width:
        raise InputError(
            f"This model has channels 0 to {width - 1}, so {max(channels)} cannot be abnormal."
        )
    if channels:
        found = torch.tensor([[channels]], device=patches.device)
    else:
        found = largest_channels(channel_shares(patches).mean(dim=1, keepdim=True))
    mask = torch.zeros(*found.shape[:2], width, dtype=torch.bool, device=patches.device)
    return mask.scatter(2, found, True)


def overfull(patches: Tensor, mask: Tensor, excess: float) -> Tensor:
    """Return which patches hold more than `excess` even shares in an abnormal channel.

    Args:
        patches: (batch, patches, width).
        mask: Of the abnormal channels, from `channel_mask`.
        excess: How many.

    Returns:
        bool (batch, patches).
    """
    largest = (channel_shares(patches) * mask).amax(dim=-1)
    return largest > excess / patches.shape[-1]
