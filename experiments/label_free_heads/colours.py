"""Do patches of one colour and texture look alike to a head?

score = mean over windows of corr(S_h, -D), over all pairs of patches of a window, in [-1, 1];
S_h is the cosine similarity of head h's contributions, D_ij the Euclidean distance between mean
and standard deviation of the three channels in patches i and j.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.label_free_heads.maps import agreement, cosine_maps
from experiments.label_free_heads.observation import Observation
from experiments.label_free_heads.ranking import Ranking


def score(seen: Observation) -> Tensor:
    """Return the agreement of each head with the pixels, (heads,)."""
    look = appearance(seen.pixels.float(), seen.grid)
    alike = -torch.cdist(look, look)
    return torch.stack([agreement(cosine_maps(features), alike) for features in seen.features])


def appearance(pixels: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return mean and standard deviation of each channel in each patch.

    Args:
        pixels: (windows, 3, height, width), whole patches.
        grid: Rows and columns of patches.

    Returns:
        (windows, patches, 6).
    """
    rows, columns = grid
    cells = pixels.unflatten(3, (columns, -1)).unflatten(2, (rows, -1))
    spread, mean = torch.std_mean(cells, dim=(3, 5), correction=0)  # (windows, 3, rows, columns)
    return torch.cat([mean, spread], dim=1).flatten(2).transpose(1, 2)


COLOURS = Ranking(
    "colours", "Things are mostly of other colours and textures than what surrounds them.", score
)
