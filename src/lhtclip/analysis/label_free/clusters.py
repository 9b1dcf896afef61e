"""Does a head tell apart what the last block, without any word, puts into different groups?

score = AUC in [0, 1] of the cosine similarity of head h's contributions predicting "same cluster",
over pairs of patches within and across the windows of a batch. Clusters are those of spherical
k-means of the patch embeddings less their mean over the batch, two for each window; starting
points are each the farthest from those before, so that nothing is random.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.analysis.label_free.observation import Observation
from lhtclip.analysis.label_free.pseudo_labels import pseudo_label_auc
from lhtclip.analysis.label_free.ranking import Ranking

PER_WINDOW = 2
ROUNDS = 15


def score(seen: Observation) -> Tensor:
    """Return the agreement of each head with the clusters, (heads,)."""
    windows, patches, _ = seen.embeddings.shape
    points = seen.embeddings.flatten(0, 1)
    found = clusters(points - points.mean(dim=0), min(PER_WINDOW * windows, windows * patches))
    return pseudo_label_auc(seen.features, found.view(windows, patches))


def clusters(points: Tensor, count: int) -> Tensor:
    """Group points by direction.

    Args:
        points: (n, width).
        count: How many groups at most, from 1 to n; a group may end empty.

    Returns:
        The group of each point, int64 (n,).
    """
    points = F.normalize(points, dim=-1)
    centres = _far_apart(points, count)
    for _ in range(ROUNDS):
        nearest = (points @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = F.normalize(sums, dim=-1)
    return (points @ centres.T).argmax(dim=1)


def _far_apart(points: Tensor, count: int) -> Tensor:
    """Return the first point, then each time the one least like all that were taken."""
    taken = [0]
    likeness = points @ points[0]
    for _ in range(count - 1):
        taken.append(int(likeness.argmin()))
        likeness = torch.maximum(likeness, points @ points[taken[-1]])
    return points[taken]


CLUSTERS = Ranking(
    "clusters", "What the last block holds for one kind of thing mostly is one.", score
)
