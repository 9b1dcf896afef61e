"""Does a head's similarity fall into a few separate groups?

score = mean over windows of the largest drop from one eigenvalue to the next, from the second to
the twelfth, of D^(-1/2) W D^(-1/2), in [0, 1]; W is the positive part of the cosine similarity of
head h's contributions, D its row sums. k separate groups have k eigenvalues near 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.label_free_heads.maps import cosine_maps
from experiments.label_free_heads.observation import Observation
from experiments.label_free_heads.ranking import Ranking

MOST_GROUPS = 12
EVERY = 4  # windows; eigenvalues are what takes time


def score(seen: Observation) -> Tensor:
    """Return the gap of each head, (heads,), from every fourth window."""
    chosen = seen.features[:, ::EVERY]
    return torch.stack([gaps(cosine_maps(features)).mean() for features in chosen])


def gaps(similarity: Tensor) -> Tensor:
    """Return the largest drop in each window's spectrum.

    Args:
        similarity: (windows, patches, patches), symmetric.

    Returns:
        (windows,) in [0, 1].
    """
    weights = similarity.clamp_min(0)
    scale = weights.sum(dim=-1).clamp_min(torch.finfo(torch.float32).eps).rsqrt()
    normalised = scale[:, :, None] * weights * scale[:, None, :]
    spectrum = torch.linalg.eigvalsh(normalised).flip(-1)[:, 1 : MOST_GROUPS + 1]
    return (spectrum[:, :-1] - spectrum[:, 1:]).amax(dim=-1)


SPECTRAL_GAP = Ranking(
    "spectral-gap", "A head that tells things apart groups patches into a few sets.", score
)
