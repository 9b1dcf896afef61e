"""A checkpoint's preset from pictures that nobody has labelled.

Heads are ranked by what the pictures themselves say, and τ is measured; what a search would need
labels for is fixed beforehand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from lhtclip import __version__
from lhtclip.analysis.compare import best_first
from lhtclip.analysis.label_free import rank_without_labels
from lhtclip.analysis.sparsity import sparsity_gap
from lhtclip.analysis.tokens import token_statistics
from lhtclip.clip.checkpoint import Checkpoint
from lhtclip.errors import InputError
from lhtclip.evaluation.calibration import check_depth
from lhtclip.evaluation.patches import window_batches
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset, preset_by_depth
from lhtclip.techniques.she import Head, SheSettings

RANKING = "consensus"
HEADS = 10  # k, the paper's
BETA = 0.6


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """What pictures without labels say about a tower.

    depth: Its layers.
    gap: τ that parts a sparse tail from the tokens entering the last block; None where none is.
    scores: Of the heads of the layers before the last, the higher the better.
    ranking: Name of the ranking that gave them.
    pictures: How many were looked at.
    """

    depth: int
    gap: float | None
    scores: Mapping[Head, float]
    ranking: str
    pictures: int


def choose_pictures(files: Sequence[Path], *, limit: int | None, seed: int) -> list[Path]:
    """Return the files in a random order, so that a batch holds pictures that differ.

    Args:
        files: In an order that does not depend on the machine.
        limit: Keep so many.
        seed: Decides the order.
    """
    return random.Random(seed).sample(files, len(files))[:limit]


def measure_without_labels(
    checkpoint: Checkpoint,
    files: Sequence[Path],
    *,
    ranking: str = RANKING,
    progress: Callable[[int, int], None] | None = None,
) -> Unlabelled:
    """Look at pictures twice: at their tokens, then at heads.

    Args:
        checkpoint: Its image tower is measured.
        files: The pictures.
        ranking: A name in `lhtclip.analysis.label_free.RANKINGS`, one that needs no words.
        progress: Called with how many of how many looks at a picture are done.

    Raises:
        UnknownNameError: There is no such ranking.
        InputError: The ranking needs words, the tower has one layer only, or a picture is missing
            or broken.
    """
    check_depth(checkpoint)

    def looked_at(already: int) -> Iterator[Path]:
        for done, file in enumerate(files, start=1):
            yield file
            if progress is not None:
                progress(already + done, 2 * len(files))

    vision = checkpoint.model.vision
    tokens = token_statistics(vision, window_batches(looked_at(0), checkpoint))
    batches = window_batches(looked_at(len(files)), checkpoint)
    scores = rank_without_labels(vision, batches, rankings=[ranking])[ranking]
    return Unlabelled(
        depth=len(vision.blocks),
        gap=sparsity_gap(tokens.entering_last.histogram),
        scores=scores,
        ranking=ranking,
        pictures=len(files),
    )
