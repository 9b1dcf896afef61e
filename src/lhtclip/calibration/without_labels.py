"""Make a checkpoint's preset from unlabelled images.

Heads are ranked by a measure that needs no labels, and τ is measured. All settings that only a
search with labels could find are fixed in advance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lhtclip.analysis.compare import best_first
from lhtclip.analysis.label_free import check_ranking, rank_without_labels
from lhtclip.analysis.patches import window_batches
from lhtclip.analysis.sparsity import sparsity_gap
from lhtclip.analysis.tokens import token_statistics
from lhtclip.calibration.calibrate import atr_of, check_depth
from lhtclip.calibration.made import made
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.techniques.presets import Preset, preset_by_depth
from lhtclip.techniques.she import Head, SheSettings

RANKING = "consensus"
HEADS = 10  # k, the paper's
BETA = 0.8


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """Measurements of an image tower on unlabelled images.

    Attributes:
        depth: Number of layers.
        gap: τ that separates a sparse tail of the tokens entering the last block; None if there is
            no tail.
        scores: Scores of the heads before the last layer, higher is better.
        ranking: Name of the ranking that gave the scores.
        images: Number of images.
        channels: Abnormal channels, largest share first.
    """

    depth: int
    gap: float | None
    scores: Mapping[Head, float]
    ranking: str
    images: int
    channels: tuple[int, ...] = ()


def choose_images(files: Sequence[Path], *, limit: int | None, seed: int) -> list[Path]:
    """Return the files in random order, so that a batch contains different images.

    Args:
        files: In an order that does not depend on the machine.
        limit: Keep only this many.
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
    """Measure tokens, then heads, in two passes over unlabelled images.

    Args:
        checkpoint: Its image tower is measured.
        files: The images.
        ranking: A name in `lhtclip.analysis.label_free.RANKINGS`.
        progress: Called with the images done and the images in all, counting both passes.

    Raises:
        UnknownNameError: There is no such ranking.
        InputError: The tower has only one layer, or an image is missing or broken.
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
        images=len(files),
        channels=tokens.channels,
    )


def preset_without_labels(measured: Unlabelled, *, data: str, model: str, seed: int) -> Preset:
    """Build the preset from the measurements; all other settings are fixed.

    SSR follows the paper's rule by depth. SHE removes the mean over patches and scales heads to
    unit length, so that one β suits towers whose cosines differ in level.

    Args:
        measured: The measurements.
        data: Name of the images.
        model: The user's name for the model.
        seed: The seed that chose the images.
    """
    ranking = tuple(best_first(measured.scores))
    return replace(
        preset_by_depth(measured.depth),
        atr=atr_of(measured.gap),
        she=SheSettings(ranking[:HEADS], beta=BETA, normalise="row", unit_heads=True, centred=True),
        ranking=ranking,
        channels=measured.channels,
        source=(
            f"lhtclip calibrate --no-labels on {measured.images} images of {data}: heads by "
            f"{measured.ranking}, layers by depth ({measured.depth}), the rest fixed"
        ),
        made=made(
            model=model,
            data=data,
            labels=False,
            seed=seed,
            gap=measured.gap,
            images=measured.images,
            ranking=measured.ranking,
            heads=[round(measured.scores[head], 4) for head in ranking],
        ),
    )
