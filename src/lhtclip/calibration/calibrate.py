"""Make a checkpoint's preset from labelled images.

One part of the images ranks the heads and gives τ and the layers of SSR (arXiv 2510.23894 §3). On
the other part, a search finds α, β, k and the form of SHE by mIoU. Neither may be a test set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from lhtclip.analysis.fall import falling_layers
from lhtclip.analysis.patches import patch_batches
from lhtclip.analysis.sparsity import sparsity_gap
from lhtclip.analysis.survey import PatchBatch, Survey, survey
from lhtclip.analysis.tokens import token_statistics
from lhtclip.calibration.made import made
from lhtclip.calibration.search import Findings, Grid, Search, brief
from lhtclip.calibration.stack import StackSearch
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.datasets import Dataset
from lhtclip.datasets.samples import choose_samples
from lhtclip.errors import InputError
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset, preset_by_depth
from lhtclip.techniques.settings import OFF
from lhtclip.techniques.ssr import SsrSettings

_IMAGES = 8  # surveyed between two reports of progress


@dataclass(frozen=True, slots=True)
class Split:
    """Images that rank the heads, and other images that settings are compared on."""

    for_heads: Dataset
    for_search: Dataset
    seed: int


def split(
    dataset: Dataset, *, images_for_heads: int | None = None, limit: int | None = None, seed: int
) -> Split:
    """Split images at random.

    Args:
        dataset: Images outside of any test set.
        images_for_heads: Number of images that rank the heads; None for half of them.
        limit: Use only this many images in all.
        seed: Decides which images are used, and how they are split; the same on every machine.

    Raises:
        InputError: One of the two parts would be empty.
    """
    chosen = choose_samples(dataset, limit=limit, seed=seed)
    total = len(chosen.samples)
    count = total // 2 if images_for_heads is None else images_for_heads
    if not 1 <= count < total:
        raise InputError(
            f"{total} images cannot be split into {count} that rank the heads and others that "
            "settings are compared on. Give more images, or another --images-for-heads."
        )
    return Split(
        replace(chosen, samples=chosen.samples[:count]),
        replace(chosen, samples=chosen.samples[count:]),
        seed,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Measurements of an image tower's layers, heads and tokens.

    Attributes:
        gap: τ that separates a sparse tail of the tokens entering the last block; None if there is
            no tail.
        survey: Visual discriminability of layers and heads, with ATR inside the heads.
        channels: Abnormal channels, largest share first.
    """

    gap: float | None
    survey: Survey
    channels: tuple[int, ...] = ()

    @property
    def falling(self) -> tuple[int, ...]:
        """The layers from the first large loss of discriminability on, without the last one."""
        depth = max(self.survey.layers)
        return falling_layers(
            {layer: found.auc for layer, found in self.survey.layers.items() if layer < depth}
        )

    def findings(self, grid: Grid) -> Findings:
        """Return where a search starts; SSR's layers follow from the depth if none falls."""
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
    """Measure tokens, then layers and heads, in two passes over labelled images.

    Args:
        checkpoint: Its image tower is measured.
        dataset: The images.
        seed: Decides which pairs of patches are compared.
        progress: Called with the images done and the images in all, counting both passes.

    Raises:
        InputError: The tower has only one layer, no patches can be compared, or an image or its
            ground truth is missing or broken.
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
            f"The {total} images that rank the heads have no two patches of one class, or none of "
            "different classes. Give more images, or another --seed."
        )
    return Measured(gap, found, tokens.channels)


def atr_of(gap: float | None) -> AtrSettings:
    """Return ATR with the sparsity gap as τ, or with the paper's τ if there is no gap."""
    return AtrSettings() if gap is None else AtrSettings(threshold=round(gap, 3))


def check_depth(checkpoint: Checkpoint) -> None:
    """Check that a tower has layers before the last one, which belongs to the method.

    Raises:
        InputError: It has only one.
    """
    if len(checkpoint.model.vision.blocks) < 2:
        raise InputError(
            "This model has only one layer, which the method replaces: nothing can be calibrated."
        )


def _batches(
    checkpoint: Checkpoint, dataset: Dataset, report: Callable[[int], None]
) -> Iterator[PatchBatch]:
    for start in range(0, len(dataset.samples), _IMAGES):
        samples = dataset.samples[start : start + _IMAGES]
        yield from patch_batches(replace(dataset, samples=samples), checkpoint)
        report(start + len(samples))


def preset_of(
    measured: Measured,
    found: Search,
    images: Split,
    *,
    grid: Grid,
    model: str,
    method: str,
    stack: StackSearch | None = None,
) -> Preset:
    """Build the preset, with a record of how it was found.

    Args:
        measured: From the images that rank the heads.
        found: From the others.
        images: Both parts.
        grid: The values that were tried.
        model: The user's name for the model.
        method: Name of the method.
        stack: A search for gains on the same images; the preset only records it.
    """
    best, ranking = found.best, measured.survey.ranking()
    data = images.for_heads.name
    heads, others = len(images.for_heads.samples), len(images.for_search.samples)
    return Preset(
        ssr=best.ssr or SsrSettings(layers=()),
        atr=best.atr or atr_of(measured.gap),
        she=best.she,
        ranking=ranking,
        channels=measured.channels,
        source=(
            f"lhtclip calibrate on {data}: heads ranked on {heads} labelled images, settings "
            f"searched on {others} others with {method}"
        ),
        made=made(
            model=model,
            data=data,
            labels=True,
            seed=images.seed,
            gap=measured.gap,
            method=method,
            images={"heads": heads, "search": others},
            layers={
                str(layer): _rounded(estimate.auc)
                for layer, estimate in measured.survey.layers.items()
            },
            falling_layers=list(measured.falling),
            heads=[_rounded(measured.survey.heads[head].auc) for head in ranking],
            grid={name: list(values) for name, values in asdict(grid).items()},
            steps=[
                {
                    "step": step.name,
                    "compared": step.compared,
                    "chosen": brief(step.chosen),
                    "mean_iou": _rounded(step.score),
                }
                for step in found.steps
            ],
            mean_iou={
                "no technique": _rounded(found.scores[OFF]),
                "chosen": _rounded(found.scores[best]),
            },
            **({} if stack is None else {"stack": _recorded(stack)}),
        ),
    )


def _recorded(stack: StackSearch) -> dict[str, object]:
    scores = [{"gains": names, "mean_iou": _rounded(of)} for names, of in stack.scores.items()]
    return {"chosen": stack.chosen, "measured": scores}


def _rounded(value: float) -> float:
    return round(value, 4)
