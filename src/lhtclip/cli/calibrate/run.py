"""The run of `lhtclip calibrate`: measure, search, write the preset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lhtclip.analysis.label_free import check_ranking
from lhtclip.calibration.calibrate import measure_heads, preset_of, split
from lhtclip.calibration.search import Grid, Search, brief, most_candidates, search
from lhtclip.calibration.without_labels import (
    RANKING,
    choose_images,
    measure_without_labels,
    preset_without_labels,
)
from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.hub import canonical_name
from lhtclip.cli.calibrate.options import CalibrateOptions
from lhtclip.cli.calibrate.stack import propose
from lhtclip.cli.console import Progress, print_table, say
from lhtclip.config import SegmenterConfig
from lhtclip.datasets import DATASETS, open_dataset
from lhtclip.errors import InputError
from lhtclip.evaluation.measure import measure
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.published_protocols import protocol_for, publication_of
from lhtclip.evaluation.runner import Running
from lhtclip.image.files import find_images
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.settings import LhtSettings
from lhtclip.text.embeddings import TextEncoder


def calibrate(options: CalibrateOptions) -> None:
    """Make a preset from labelled images and print a summary.

    Raises:
        LhtClipError: Model or data cannot be used. Counts so far are kept.
    """
    protocol = protocol_for(str(options.data), publication_of(options.method, lht=True))
    protocol.method_named(options.method)
    images = split(
        open_dataset(str(options.data), options.root),
        images_for_heads=options.images_for_heads,
        limit=options.limit,
        seed=options.seed,
    )
    if options.data in DATASETS:
        if options.stack:
            raise InputError(
                f"{options.data} is read as the images that publications test on, and --stack "
                "never searches on those: give training images as --data folder."
            )
        say(
            f"{options.data} is read as the images that publications test on: numbers measured on "
            "it with this preset are not comparable. Give training images as --data "
            "folder."
        )
    config = SegmenterConfig(
        model=options.model,
        method=options.method,
        residual=False,
        mlp=False,
        device=options.device,
        dtype=options.dtype,
        max_pixels=options.max_pixels,
    )
    checkpoint = _load(options)
    with Progress("passes over images that rank heads", quiet=options.quiet) as progress:
        measured = measure_heads(checkpoint, images.for_heads, seed=options.seed, progress=progress)
    grid = Grid()
    findings = measured.findings(grid)
    texts = TextEncoder.of(checkpoint, templates=protocol.templates)

    def score(
        settings: LhtSettings, progress: Callable[[Running], None], by: Protocol = protocol
    ) -> float:
        evaluation = measure(
            replace(config, lht=settings),
            images.for_search,
            by,
            checkpoint=checkpoint,
            texts=texts,
            folder=options.counts,
            overwrite=options.overwrite,
            progress=progress,
        )
        return 100 * evaluation.confusion.mean_iou

    found = search(
        findings, _Watched(score, at_most=most_candidates(findings), quiet=options.quiet)
    )
    stack = None
    if options.stack:
        stack = propose(
            lambda by, progress: score(found.best, progress, by),
            protocol,
            protocol.method_named(options.method),
            quiet=options.quiet,
        )
    preset = preset_of(
        measured,
        found,
        images,
        grid=grid,
        model=canonical_name(options.model),
        method=options.method,
        stack=stack,
    )
    _finish(preset, options, ("step", "compared", "mIoU %", "best"), _rows(found))


def calibrate_without_labels(options: CalibrateOptions) -> None:
    """Make a preset from unlabelled images and print a summary.

    Raises:
        LhtClipError: Model or images cannot be used.
    """
    ranking = options.ranking or RANKING
    check_ranking(ranking)
    files = find_images(str(options.images))
    checkpoint = _load(options)
    with Progress("passes over images", quiet=options.quiet) as progress:
        measured = measure_without_labels(
            checkpoint,
            choose_images(files, limit=options.limit, seed=options.seed),
            ranking=ranking,
            progress=progress,
        )
    preset = preset_without_labels(
        measured,
        data=Path(str(options.images)).name,
        model=canonical_name(options.model),
        seed=options.seed,
    )
    rows = [
        (f"{layer}-{head}", f"{measured.scores[layer, head]:.4f}") for layer, head in preset.ranking
    ]
    _finish(preset, options, ("head", measured.ranking), rows)


def _finish(
    preset: Preset,
    options: CalibrateOptions,
    header: Sequence[str],
    rows: Sequence[tuple[str, ...]],
) -> None:
    say(f"Written: {preset.save(Path(options.out))}")
    print_table(header, rows)


def _load(options: CalibrateOptions) -> Checkpoint:
    return load_checkpoint(options.model, device=options.device, dtype=options.dtype)


class _Watched:
    """Scores candidates and reports the progress of the search."""

    def __init__(
        self,
        score: Callable[[LhtSettings, Callable[[Running], None]], float],
        *,
        at_most: int,
        quiet: bool,
    ) -> None:
        self._score, self._at_most, self._quiet = score, at_most, quiet
        self._count = 0

    def __call__(self, settings: LhtSettings) -> float:
        self._count += 1
        place = f"candidate {self._count} of at most {self._at_most}: {brief(settings)}"
        with Progress(f"images, {place}", quiet=self._quiet) as progress:

            def report(running: Running) -> None:
                progress(
                    running.done,
                    running.total,
                    already=running.already,
                    note=f"mIoU {100 * running.mean_iou:.2f}",
                )

            return self._score(settings, report)


def _rows(found: Search) -> list[tuple[str, ...]]:
    rows = [(step.name, step.compared, step.score, step.chosen) for step in found.steps]
    rows.append(("all", len(found.scores), found.scores[found.best], found.best))
    return [
        (name, str(compared), f"{score:.2f}", brief(chosen))
        for name, compared, score, chosen in rows
    ]
