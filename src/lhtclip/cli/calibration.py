"""The run of `lhtclip calibrate`: measure, search, and write down what was found."""

from __future__ import annotations

from pathlib import Path

from lhtclip.attention import rule_named
from lhtclip.cli.console import Progress, print_table, say
from lhtclip.clip.checkpoint import Checkpoint, load_checkpoint
from lhtclip.clip.hub import canonical_name, resolve
from lhtclip.device import choose_device, choose_dtype
from lhtclip.evaluation.calibration import measure, preset_of, split
from lhtclip.evaluation.datasets import DATASETS, open_dataset
from lhtclip.evaluation.runner import Running
from lhtclip.evaluation.scorer import Scorer
from lhtclip.evaluation.search import Grid, Search, brief, most_candidates, search
from lhtclip.techniques.settings import LhtSettings


def calibrate(
    *,
    model: str,
    data: str,
    root: str | None,
    limit: int | None,
    seed: int,
    images_for_heads: int | None,
    method: str,
    out: str,
    work: Path,
    overwrite: bool,
    device: str,
    dtype: str,
    max_pixels: int,
    quiet: bool,
) -> None:
    """Make a preset and tell about it.

    Raises:
        LhtClipError: Model or data cannot be used. Counts so far are kept.
    """
    rule_named(method)
    pictures = split(
        open_dataset(data, root), images_for_heads=images_for_heads, limit=limit, seed=seed
    )
    if data in DATASETS:
        say(
            f"{data} as it is read here is what publications test on: numbers measured on it with "
            "this preset are not comparable. Training pictures can be given as --data folder."
        )
    checkpoint = _load(model, device, dtype)
    with Progress("looks at pictures that rank heads", quiet=quiet) as progress:
        measured = measure(checkpoint, pictures.for_heads, seed=seed, progress=progress)
    grid = Grid()
    findings = measured.findings(grid)
    scorer = Scorer(
        checkpoint,
        pictures.for_search,
        method=method,
        folder=work,
        overwrite=overwrite,
        max_pixels=max_pixels,
    )
    watched = _Watched(scorer, at_most=most_candidates(findings), quiet=quiet)
    found = search(findings, watched)
    preset = preset_of(
        measured, found, pictures, grid=grid, model=canonical_name(model), method=method
    )
    print_table(("step", "compared", "mIoU %", "best"), _rows(found))
    say(f"Written: {preset.save(Path(out))}")


def _load(model: str, device: str, dtype: str) -> Checkpoint:
    target = choose_device(device)
    return load_checkpoint(resolve(model), dtype=choose_dtype(dtype, target), device=target)


class _Watched:
    """Scores candidates and says how far the search is."""

    def __init__(self, scorer: Scorer, *, at_most: int, quiet: bool) -> None:
        self._scorer, self._at_most, self._quiet = scorer, at_most, quiet
        self._count = 0

    def __call__(self, settings: LhtSettings) -> float:
        self._count += 1
        place = f"candidate {self._count} of at most {self._at_most}: {brief(settings)}"
        with Progress(f"pictures, {place}", quiet=self._quiet) as progress:

            def report(running: Running) -> None:
                progress(
                    running.done,
                    running.total,
                    already=running.already,
                    note=f"mIoU {100 * running.mean_iou:.2f}",
                )

            return self._scorer(settings, progress=report)


def _rows(found: Search) -> list[tuple[str, ...]]:
    rows = [(step.name, step.compared, step.score, step.chosen) for step in found.steps]
    rows.append(("all", len(found.scores), found.scores[found.best], found.best))
    return [
        (name, str(compared), f"{score:.2f}", brief(chosen))
        for name, compared, score, chosen in rows
    ]
