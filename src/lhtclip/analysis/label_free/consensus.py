"""Does a head see what most heads see?

score = mean over all heads g of CKA(h, g) = <K_h, K_g> / (‖K_h‖ ‖K_g‖), in [0, 1]; K_h are the
cosines, over patches within and across windows, of head h's contributions less their mean over
the batch (CKA: arXiv 1905.00414, here of unit vectors).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lhtclip.analysis.label_free.maps import cosine_maps
from lhtclip.analysis.label_free.observation import Observation
from lhtclip.analysis.label_free.ranking import Ranking

PATCHES = 512  # most that are compared, spread over the batch


def score(seen: Observation) -> Tensor:
    """Return the agreement of each head with all, (heads,)."""
    heads, windows, patches, width = seen.features.shape
    places = torch.linspace(0, windows * patches - 1, min(PATCHES, windows * patches)).long()
    flat = seen.features.reshape(heads, windows * patches, width)[:, places.to(seen.left.device)]
    mean = sum((_kernel(features) for features in flat), torch.zeros(())) / heads
    return torch.stack([(_kernel(features) * mean).sum() for features in flat])


def _kernel(features: Tensor) -> Tensor:
    """Return K_h / ‖K_h‖ of (patches, width)."""
    kernel = cosine_maps(features, centred=True)
    return kernel / kernel.norm().clamp_min(torch.finfo(torch.float32).eps)


CONSENSUS = Ranking(
    "consensus", "Heads err each in its own way; what many see is more likely there.", score
)
