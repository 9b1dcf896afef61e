"""A checkpoint's preset from labelled pictures: some rank heads, on the others settings compete.

On the first ones τ, the layers of SSR and the head ranking are measured (arXiv 2510.23894 §3); on
the others a search finds α, β, k and the form of SHE by mIoU. Neither may be anybody's test set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date

from lhtclip import __version__
from lhtclip.analysis.fall import falling_layers
from lhtclip.analysis.patches import patch_batches
from lhtclip.analysis.sparsity import sparsity_gap
from lhtclip.analysis.survey import PatchBatch, Survey, survey
from lhtclip.analysis.tokens import token_statistics
from lhtclip.calibration.search import Findings, Grid, Search, brief
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.datasets import Dataset
from lhtclip.datasets.samples import choose_samples
from lhtclip.errors import InputError
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset, preset_by_depth
from lhtclip.techniques.settings import OFF
from lhtclip.techniques.ssr import SsrSettings

_PICTURES = 8  # surveyed between two reports of progress


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures that rank heads, and others that settings are compared on; none is in both."""

    for_heads: Dataset
    for_search: Dataset
    seed: int


def split(
    dataset: Dataset, *, images_for_heads: int | None = None, limit: int | None = None, seed: int
) -> Split:
    """Part pictures at random.

    Args:
        dataset: Pictures that nobody will be tested on.
        images_for_heads: How many rank heads; None for half of them.
        limit: Take so many pictures altogether.
        seed: Decides which are taken, and which of them rank heads; the same on every machine.

    Raises:
        InputError: Nothing would be left to rank heads on, or to search on.
    """
    chosen = choose_samples(dataset, limit=limit, seed=seed)
    total = len(chosen.samples)
    count = total // 2 if images_for_heads is None else images_for_heads
    if not 1 <= count < total:
        raise InputError(
            f"{total} pictures cannot be parted into {count} that rank heads and others that "
            "settings are compared on: give more pictures, or another --images-for-heads."
        )
    return Split(
        replace(chosen, samples=chosen.samples[:count]),
        replace(chosen, samples=chosen.samples[count:]),
        seed,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a tower's layers, heads and tokens are like.

    gap: τ that parts a sparse tail from the tokens entering the last block; None where none is.
    survey: Visual discriminability of layers and heads, heads after ATR inside them.
    """

    gap: float | None
    survey: Survey

    @property
    def falling(self) -> tuple[int, ...]:
        """The layers from the first great loss of discriminability on, without the last one."""
        depth = max(self.survey.layers)
        return falling_layers(
            {layer: found.auc for layer, found in self.survey.layers.items() if layer < depth}
        )

    def findings(self, grid: Grid) -> Findings:
        """Return where a search starts; SSR by depth alone where no layer falls."""
        depth = max(self.survey.layers)
        return Findings(
            depth=depth,
            ranking=self.survey.ranking(),
            layers=len(self.falling or preset_by_depth(depth).ssr.layers),
            atr=atr_of(self.gap),
            grid=grid,
        )


def measure_heads(
    checkpoint: Checkpoint,
    dataset: Dataset,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Look at labelled pictures twice: at their tokens, then at layers and heads.

    Args:
        checkpoint: Its image tower is measured.
        dataset: The pictures.
        seed: Decides which pairs of patches are compared.
        progress: Called now and then with how many of how many looks at a picture are done.

    Raises:
        InputError: The tower has one layer only, no patches can be compared, or a picture or truth
            is missing or broken.
    """
    check_depth(checkpoint)
    vision, total = checkpoint.model.vision, len(dataset.samples)

    def report(done: int, *, already: int) -> None:
        if progress is not None:
            progress(already + done, 2 * total)

    batches = _batches(checkpoint, dataset, lambda done: report(done, already=0))
    tokens = token_statistics(vision, (batch.pixels for batch in batches))
    gap = sparsity_gap(tokens.entering_last.histogram)
    batches = _batches(checkpoint, dataset, lambda done: report(done, already=total))
    found = survey(vision, batches, atr=atr_of(gap), seed=seed)
    if any(math.isnan(estimate.auc) for estimate in found.heads.values()):
        raise InputError(
            f"The {total} pictures that rank heads have no patches of one class, or none of two: "
            "give more pictures, or another --seed."
        )
    return Measured(gap, found)


def atr_of(gap: float | None) -> AtrSettings:
    """Return ATR with the sparsity gap as τ, with the paper's τ where there is none."""
    return AtrSettings() if gap is None else AtrSettings(threshold=round(gap, 3))


def check_depth(checkpoint: Checkpoint) -> None:
    """Check that a tower has layers before the method's own.

    Raises:
        InputError: It has not.
    """
    if len(checkpoint.model.vision.blocks) < 2:
        raise InputError(
            "This model has one layer, which is the method's own: there is nothing to calibrate."
        )


def _batches(
    checkpoint: Checkpoint, dataset: Dataset, report: Callable[[int], None]
) -> Iterator[PatchBatch]:
    for start in range(0, len(dataset.samples), _PICTURES):
        samples = dataset.samples[start : start + _PICTURES]
        yield from patch_batches(replace(dataset, samples=samples), checkpoint)
        report(start + len(samples))


def preset_of(
    measured: Measured, found: Search, pictures: Split, *, grid: Grid, model: str, method: str
) -> Preset:
    """Write down what was found, and how.

    Args:
        measured: On the pictures that rank heads.
        found: On the others.
        pictures: Both.
        grid: What was tried.
        model: As the user calls it.
        method: Name of the method.
    """
    best, ranking = found.best, measured.survey.ranking()
    data = pictures.for_heads.name
    heads, others = len(pictures.for_heads.samples), len(pictures.for_search.samples)
    return Preset(
        ssr=best.ssr or SsrSettings(layers=()),
        atr=best.atr or atr_of(measured.gap),
        she=best.she,
        ranking=ranking,
        source=(
            f"lhtclip calibrate on {data}: heads ranked on {heads} labelled pictures, settings "
            f"searched on {others} others with {method}"
        ),
        made={
            "lhtclip": __version__,
            "date": date.today().isoformat(),
            "model": model,
            "method": method,
            "data": data,
            "labels": True,
            "seed": pictures.seed,
            "pictures": {"heads": heads, "search": others},
            "sparsity_gap": measured.gap,
            "layers": {
                str(layer): _rounded(estimate.auc)
                for layer, estimate in measured.survey.layers.items()
            },
            "falling_layers": list(measured.falling),
            "heads": [_rounded(measured.survey.heads[head].auc) for head in ranking],
            "grid": {name: list(values) for name, values in asdict(grid).items()},
            "steps": [
                {
                    "step": step.name,
                    "compared": step.compared,
                    "chosen": brief(step.chosen),
                    "mean_iou": _rounded(step.score),
                }
                for step in found.steps
            ],
            "mean_iou": {
                "no technique": _rounded(found.scores[OFF]),
                "chosen": _rounded(found.scores[best]),
            },
        },
    )


def _rounded(value: float) -> float:
    return round(value, 4)
