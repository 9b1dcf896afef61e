"""Similarity maps of patches within a window, and how far two of them agree."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cosine_maps(features: Tensor, *, centred: bool = False) -> Tensor:
    """Return the cosine similarity of all patches of a window.

    Args:
        features: (..., patches, width).
        centred: Subtract the mean over patches first.

    Returns:
        (..., patches, patches), in [-1, 1]; a patch without any feature is 0 to all.
    """
    if centred:
        features = features - features.mean(dim=-2, keepdim=True)
    features = F.normalize(features, dim=-1)
    return features @ features.transpose(-1, -2)


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Return Pearson's correlation of two symmetric maps over the pairs of different patches.

    Args:
        first: (windows, patches, patches).
        second: The same.

    Returns:
        Its mean over windows, in [-1, 1]; a window where either map is constant counts 0.
    """
    patches = first.shape[-1]
    one, other = torch.triu_indices(patches, patches, offset=1, device=first.device)
    x, y = (_standard(map_[:, one, other]) for map_ in (first, second))
    return (x * y).sum(dim=-1).mean()


def without_place(maps: Tensor) -> Tensor:
    """Subtract what the maps of all windows share: similarity by place alone, not by content."""
    return maps - maps.mean(dim=0, keepdim=True)


def _standard(values: Tensor) -> Tensor:
    """Shift to mean 0 and scale to length 1."""
    return F.normalize(values - values.mean(dim=-1, keepdim=True), dim=-1)
