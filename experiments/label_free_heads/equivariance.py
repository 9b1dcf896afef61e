"""Does a head see the same in a window that is cut and mirrored?

score = mean over windows of corr(S_h - S̄_h, S'_h - S̄'_h), over all pairs of patches that are left,
in [-1, 1]; S_h and S'_h are the cosine similarities of head h's contributions in the window and
in the moved one, S̄ the mean over the windows of the batch, which holds what place alone decides:
a head that only looks at distance would be perfectly stable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.label_free_heads.maps import agreement, cosine_maps, without_place
from experiments.label_free_heads.observation import Observation
from experiments.label_free_heads.ranking import Ranking


def score(seen: Observation) -> Tensor:
    """Return the stability of each head, (heads,); 0 for a batch of one window."""
    still = seen.features[:, :, seen.left]
    return torch.stack(
        [
            agreement(without_place(cosine_maps(one)), without_place(cosine_maps(other)))
            for one, other in zip(still, seen.moved, strict=True)
        ]
    )


EQUIVARIANCE = Ranking(
    "equivariance", "What belongs together stays so when the image is cut and mirrored.", score
)
