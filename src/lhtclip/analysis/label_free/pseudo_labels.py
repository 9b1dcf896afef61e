"""Labels that a model gives itself, in the place of true ones.

The labelled ranking asks whether a head's similarity tells patches of one class from others
(`PairAuc`). The same can be asked of any other labels, and made-up ones cost nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lhtclip.analysis.pairs import PairAuc

PAIRS = 4_000  # of each kind, from a batch


def pseudo_label_auc(features: Tensor, labels: Tensor) -> Tensor:
    """Return how well each head's similarity tells same from different labels.

    Pairs are within and across the windows of the batch, drawn as for true labels.

    Args:
        features: (heads, windows, patches, width).
        labels: Integers (windows, patches); `UNLABELLED` patches are left out.

    Returns:
        AUC (heads,) in [0, 1]; 0.5 is chance; nan where there is only one label.
    """
    pairs = PairAuc(per_batch=PAIRS)
    named = ((str(head), feature.flatten(0, 1)) for head, feature in enumerate(features))
    pairs.add(labels.flatten(), named)
    return torch.tensor([estimate.auc for estimate in pairs.estimates().values()])
