"""All rankings without labels in one pass over images: the two of the package and five others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from experiments.label_free_heads.colours import COLOURS
from experiments.label_free_heads.equivariance import EQUIVARIANCE
from experiments.label_free_heads.mean_of_ranks import MEAN_OF_RANKS, mean_of_ranks
from experiments.label_free_heads.observation import heads_before, observe
from experiments.label_free_heads.ranking import Ranking
from experiments.label_free_heads.smoothness import SMOOTHNESS
from experiments.label_free_heads.spectral_gap import SPECTRAL_GAP
from experiments.label_free_heads.words import WORDS
from lhtclip.analysis.label_free import LEAST_WINDOWS, agreement_with_clusters, consensus
from lhtclip.clip.towers import ImageTower
from lhtclip.errors import InputError, unknown
from lhtclip.techniques.she import Head

CLUSTERS = Ranking(
    "clusters",
    "Patches that the last block groups together usually belong to one class.",
    lambda seen: agreement_with_clusters(seen.features, seen.embeddings),
)
CONSENSUS = Ranking(
    "consensus",
    "Errors differ between heads; what many heads see is more likely real.",
    lambda seen: consensus(seen.features),
)
RANKINGS: dict[str, Ranking] = {
    "clusters": CLUSTERS,
    "consensus": CONSENSUS,
    "colours": COLOURS,
    "equivariance": EQUIVARIANCE,
    "smoothness": SMOOTHNESS,
    "spectral-gap": SPECTRAL_GAP,
    "words": WORDS,
}


@torch.inference_mode()
def rank_by_all(
    vision: ImageTower,
    batches: Iterable[Tensor],
    *,
    texts: Tensor | None = None,
    rankings: Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, dict[Head, float]]:
    """Score the heads of all layers before the last by all rankings, in one pass over images.

    Memory holds one batch: heads x windows x patches x head width x 6.3 bytes, 0.2 GB for 16
    windows of ViT-B/16. Pairs across windows are compared within a batch, so one should hold
    windows of several images.

    Args:
        vision: The image tower.
        batches: Windows, normalised, (windows, 3, height, width); a batch of fewer than 4, such as
            the last one may be, is left out.
        texts: Embeddings of the user's words, (words, E), unit length; "words" needs them.
        rankings: Names in `RANKINGS`; by default all that can be had.
        progress: Called with the windows done after each batch.

    Returns:
        By ranking the score of each (layer, head), 1-based, higher is better; where there are two
        rankings or more, also their "mean-of-ranks".

    Raises:
        UnknownNameError: There is no such ranking.
        InputError: There are no images or words to compare.
    """
    chosen = _choose(rankings, texts)
    sums = {name: torch.zeros(0) for name in chosen}
    windows = dict.fromkeys(chosen, 0)
    done = 0
    for pixels in batches:
        done += len(pixels)
        if len(pixels) >= LEAST_WINDOWS:
            seen = observe(vision, pixels, texts=texts)
            for name, ranking in chosen.items():
                scores = ranking.score(seen).double().cpu()
                if scores.isfinite().all():
                    sums[name] = len(pixels) * scores + (sums[name] if windows[name] else 0)
                    windows[name] += len(pixels)
        if progress is not None:
            progress(done)
    found: dict[str, dict[Head, float]] = {}
    for name, total in sums.items():
        if not windows[name]:
            raise InputError(
                f"The ranking {name!r} found nothing to compare in {done} windows; give batches of "
                f"{LEAST_WINDOWS} or more, of images (and words) that differ."
            )
        means = (total / windows[name]).tolist()
        found[name] = dict(zip(heads_before(vision), means, strict=True))
    return found | ({MEAN_OF_RANKS: mean_of_ranks(found)} if len(found) > 1 else {})


def _choose(names: Sequence[str] | None, texts: Tensor | None) -> dict[str, Ranking]:
    if names is None:
        return {
            name: ranking
            for name, ranking in RANKINGS.items()
            if texts is not None or not ranking.needs_words
        }
    for name in names:
        if name not in RANKINGS:
            raise unknown("label-free ranking", name, RANKINGS)
        if RANKINGS[name].needs_words and texts is None:
            raise InputError(f"The ranking {name!r} needs words: give the names of your classes.")
    return {name: RANKINGS[name] for name in names}
