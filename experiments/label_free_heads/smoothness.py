"""Are neighbouring patches more similar to a head than patches at shuffled positions?

score = mean over windows of (mean of S_h over neighbours - mean over all pairs) / spread over all
pairs; S_h is the cosine similarity of head h's contributions less their mean over the window,
neighbours share a side or a corner. With patches shuffled the expected score is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.label_free_heads.maps import cosine_maps
from experiments.label_free_heads.observation import Observation
from experiments.label_free_heads.ranking import Ranking


def score(seen: Observation) -> Tensor:
    """Return the smoothness of each head, (heads,)."""
    near = neighbours(seen.grid).to(seen.features.device)
    return torch.stack([_smoothness(features, near) for features in seen.features])


def neighbours(grid: tuple[int, int]) -> Tensor:
    """Return which patches share a side or a corner, bool (patches, patches)."""
    rows, columns = grid
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    distance = torch.cdist(place, place, p=torch.inf)
    return (distance > 0.5) & (distance < 1.5)


def _smoothness(features: Tensor, near: Tensor) -> Tensor:
    maps = cosine_maps(features, centred=True)
    pairs = maps[:, ~torch.eye(len(near), dtype=torch.bool, device=near.device)]
    spread, mean = torch.std_mean(pairs, dim=1, correction=0)
    excess = maps[:, near].mean(dim=1) - mean
    return (excess / spread.clamp_min(torch.finfo(torch.float32).eps)).mean()


SMOOTHNESS = Ranking(
    "smoothness", "Neighbours mostly show the same thing, shuffled patches do not.", score
)
