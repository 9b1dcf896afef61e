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
from lhtclip.analysis.label_free import check_ranking, rank_without_labels
from lhtclip.analysis.patches import window_batches
from lhtclip.analysis.sparsity import sparsity_gap
from lhtclip.analysis.tokens import token_statistics
from lhtclip.calibration.calibrate import atr_of, check_depth
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.techniques.presets import Preset, preset_by_depth
from lhtclip.techniques.she import Head, SheSettings

RANKING = "consensus"
HEADS = 10  # k, the paper's
BETA = 0.8


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
        ranking: A name in `lhtclip.analysis.label_free.RANKINGS`.
        progress: Called with how many of how many looks at a picture are done.

    Raises:
        UnknownNameError: There is no such ranking.
        InputError: The tower has one layer only, or a picture is missing
            or broken.
    """
    check_ranking(ranking)
    check_depth(checkpoint)

    def looked_at(already: int) -> Iterator[Path]:
        for done, file in enumerate(files, start=1):
            yield file
            if progress is not None:
                progress(already + done, 2 * len(files))

    vision = checkpoint.model.vision
    tokens = token_statistics(vision, window_batches(looked_at(0), checkpoint))
    batches = window_batches(looked_at(len(files)), checkpoint, batch=32)
    scores = rank_without_labels(vision, batches, ranking=ranking)
    return Unlabelled(
        depth=len(vision.blocks),
        gap=sparsity_gap(tokens.entering_last.histogram),
        scores=scores,
        ranking=ranking,
        pictures=len(files),
    )


def preset_without_labels(measured: Unlabelled, *, data: str, model: str, seed: int) -> Preset:
    """Write down what was measured, with fixed settings for what was not.

    SSR acts in the layers and with the α of the paper's rule by depth. In SHE the mean over patches
    is removed and heads have unit length, so that one β suits towers whose cosines differ in level.

    Args:
        measured: On the pictures.
        data: What they are, in a word.
        model: As the user calls it.
        seed: Of their choice.
    """
    ranking = tuple(best_first(measured.scores))
    return replace(
        preset_by_depth(measured.depth),
        atr=atr_of(measured.gap),
        she=SheSettings(ranking[:HEADS], beta=BETA, normalise="row", unit_heads=True, centred=True),
        ranking=ranking,
        source=(
            f"lhtclip calibrate --no-labels on {measured.pictures} pictures of {data}: heads by "
            f"{measured.ranking}, layers by depth ({measured.depth}), the rest fixed"
        ),
        made={
            "lhtclip": __version__,
            "date": date.today().isoformat(),
            "model": model,
            "data": data,
            "labels": False,
            "seed": seed,
            "pictures": measured.pictures,
            "sparsity_gap": measured.gap,
            "ranking": measured.ranking,
            "heads": [round(measured.scores[head], 4) for head in ranking],
        },
    )
