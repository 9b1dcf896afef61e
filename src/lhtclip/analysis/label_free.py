"""Rank heads without labels, from the user's own images.

The paper ranks heads with labelled images (arXiv 2510.23894 §3.3). Seven label-free rankings are
compared in docs/reports/label-free-heads.md; the other five are in `experiments/label_free_heads`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.analysis.alignment import shortcut_embeddings
from lhtclip.analysis.pairs import PairAuc
from lhtclip.analysis.trace import trace
from lhtclip.clip.towers import ImageTower
from lhtclip.errors import InputError, unknown
from lhtclip.techniques.she import Head

LEAST_WINDOWS = 4  # per batch; fewer give too few pairs
_PATCHES = 512  # maximum that `consensus` compares, spread over the batch
_PER_WINDOW, _ROUNDS = 2, 15  # clusters, and rounds of k-means
_PAIRS = 4_000  # of same and of different clusters, from a batch


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A batch of windows as seen by all heads of the layers before the last.

    Attributes:
        features: Features of each head, with the angles and lengths of its contribution
            (`head_features`): (heads, windows, patches, head width) float32, heads in the order of
            `heads_before`, patches row by row.
        embeddings: The values of the last block projected into the space of the texts, of unit
            length, (windows, patches, E).
    """

    features: Tensor
    embeddings: Tensor


def heads_before(vision: ImageTower) -> tuple[Head, ...]:
    """Return all (layer, head), 1-based, of the layers before the last."""
    return tuple(
        (layer, head)
        for layer, block in enumerate(vision.blocks[:-1], start=1)
        for head in range(1, block.attention.heads + 1)
    )


def observe(vision: ImageTower, pixels: Tensor) -> Observation:
    """Run a batch of normalised windows (windows, 3, height, width) through the tower."""
    features: list[Tensor] = []
    for step in trace(vision, pixels):
        if step.layer == len(vision.blocks):
            entering = step.entering[:, step.class_tokens :]
            return Observation(torch.cat(features), shortcut_embeddings(vision, entering))
        features.append(step.head_features.transpose(0, 1))
    raise AssertionError("a tower has a last block")


def consensus(features: Tensor) -> Tensor:
    """Score agreement with the other heads: errors differ between heads, what they share is right.

    score = mean over all heads g of CKA(h, g) = <K_h, K_g> / (‖K_h‖ ‖K_g‖), in [0, 1]; K_h are the
    cosines, over patches within and across windows, of head h's contributions less their mean over
    the batch (CKA: arXiv 1905.00414, here of unit vectors).

    Args:
        features: As in `Observation`.

    Returns:
        The score of each head, (heads,).
    """
    heads, windows, patches, width = features.shape
    chosen = torch.linspace(0, windows * patches - 1, min(_PATCHES, windows * patches)).long()
    flat = features.reshape(heads, windows * patches, width)[:, chosen.to(features.device)]
    mean = sum((_kernel(each) for each in flat), torch.zeros(())) / heads
    return torch.stack([(_kernel(each) * mean).sum() for each in flat])


def _kernel(features: Tensor) -> Tensor:
    """Return K_h / ‖K_h‖ of (patches, width)."""
    unit = F.normalize(features - features.mean(dim=-2, keepdim=True), dim=-1)
    kernel = unit @ unit.transpose(-1, -2)
    return kernel / kernel.norm().clamp_min(torch.finfo(torch.float32).eps)


def agreement_with_clusters(features: Tensor, embeddings: Tensor) -> Tensor:
    """Score how well a head separates the clusters that the last block forms without any text.

    score = AUC in [0, 1] of the cosine similarity of head h's contributions predicting "same
    cluster", over pairs of patches within and across the windows of a batch. Clusters are those of
    the embeddings less their mean over the batch, two for each window.

    Args:
        features: As in `Observation`.
        embeddings: As in `Observation`.

    Returns:
        The score of each head, (heads,).
    """
    windows, patches, _ = embeddings.shape
    points = embeddings.flatten(0, 1)
    count = min(_PER_WINDOW * windows, windows * patches)
    found = clusters(points - points.mean(dim=0), count)
    return pseudo_label_auc(features, found.view(windows, patches))


def pseudo_label_auc(features: Tensor, labels: Tensor) -> Tensor:
    """Return how well each head's similarity separates pairs of the same and of different labels.

    Pairs are drawn within and across the windows of the batch, as for true labels.

    Args:
        features: As in `Observation`.
        labels: Integers (windows, patches); `UNLABELLED` patches are left out.

    Returns:
        AUC (heads,) in [0, 1]; 0.5 is chance; nan if there is only one label.
    """
    pairs = PairAuc(per_batch=_PAIRS)
    named = ((str(head), feature.flatten(0, 1)) for head, feature in enumerate(features))
    pairs.add(labels.flatten(), named)
    return torch.tensor([estimate.auc for estimate in pairs.estimates().values()])


def clusters(points: Tensor, count: int) -> Tensor:
    """Group points by direction: spherical k-means with the farthest points as starting points.

    Args:
        points: (n, width).
        count: How many groups at most, from 1 to n; a group may end empty.

    Returns:
        The group of each point, int64 (n,).
    """
    points = F.normalize(points, dim=-1)
    centres = _far_apart(points, count)
    for _ in range(_ROUNDS):
        nearest = (points @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = F.normalize(sums, dim=-1)
    return (points @ centres.T).argmax(dim=1)


def _far_apart(points: Tensor, count: int) -> Tensor:
    """Return the first point, then repeatedly the one least similar to all chosen so far."""
    taken = [0]
    likeness = points @ points[0]
    for _ in range(count - 1):
        taken.append(int(likeness.argmin()))
        likeness = torch.maximum(likeness, points @ points[taken[-1]])
    return points[taken]


# Scores of all heads on a batch, float32 (heads,), higher is better; nan if nothing compares.
RANKINGS: dict[str, Callable[[Observation], Tensor]] = {
    "consensus": lambda seen: consensus(seen.features),
    "clusters": lambda seen: agreement_with_clusters(seen.features, seen.embeddings),
}


def check_ranking(name: str) -> None:
    """Check the name of a ranking before images are read.

    Raises:
        UnknownNameError: There is no such ranking.
    """
    if name not in RANKINGS:
        raise unknown("label-free ranking", name, RANKINGS)


@torch.inference_mode()
def rank_without_labels(
    vision: ImageTower, batches: Iterable[Tensor], *, ranking: str = "consensus"
) -> dict[Head, float]:
    """Score the heads of all layers before the last in one pass over images.

    One batch is in memory: heads x windows x patches x head width x 4 bytes, 0.13 GB for 16
    windows of ViT-B/16. Pairs across windows are compared within a batch, so a batch should contain
    windows of several images.

    Args:
        vision: The image tower.
        batches: Windows, normalised, (windows, 3, height, width); batches of fewer than 4, such as
            a short last one, are skipped.
        ranking: A name in `RANKINGS`.

    Returns:
        The score of each (layer, head), 1-based, higher is better.

    Raises:
        UnknownNameError: There is no such ranking.
        InputError: There are no images to compare.
    """
    check_ranking(ranking)
    total, counted, done = torch.zeros(0), 0, 0
    for pixels in batches:
        done += len(pixels)
        if len(pixels) >= LEAST_WINDOWS:
            scores = RANKINGS[ranking](observe(vision, pixels)).double().cpu()
            if scores.isfinite().all():
                total = len(pixels) * scores + (total if counted else 0)
                counted += len(pixels)
    if not counted:
        raise InputError(
            f"The ranking {ranking!r} found nothing to compare in {done} windows: give more "
            f"images that differ, for batches of {LEAST_WINDOWS} windows or more."
        )
    return dict(zip(heads_before(vision), (total / counted).tolist(), strict=True))
