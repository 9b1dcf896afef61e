"""The run of `lhtclip evaluate`: one model, data set after data set."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from lhtclip.batch.chunks import Shard
from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.hub import canonical_name
from lhtclip.cli.console import Progress, print_table, say
from lhtclip.cli.evaluate.tasks import Task
from lhtclip.cli.load import warn_if_bundled
from lhtclip.datasets import Dataset
from lhtclip.datasets.check import check_dataset
from lhtclip.datasets.samples import choose_samples, queries_of
from lhtclip.errors import InputError
from lhtclip.evaluation.gallery import write_gallery
from lhtclip.evaluation.merge import write_part
from lhtclip.evaluation.report import Document, describe, markdown, summary
from lhtclip.evaluation.runner import Running, evaluate, locked_counts
from lhtclip.files import write_atomically
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.settings import LhtSettings

_CHECKED_MAPS = 100


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run goes and what it writes, as typed; `lhtclip evaluate --help` explains each."""

    out: Path
    limit: int | None
    seed: int | None
    workers: int
    trimap: int
    check: bool
    predictions: bool
    gallery: int
    overwrite: bool
    shard: Shard | None
    as_json: bool
    quiet: bool


def evaluate_all(tasks: Sequence[Task], options: RunOptions) -> None:
    """Evaluate on every data set with one model, and report.

    Raises:
        LhtClipError: Settings, model, data or output folder cannot be used. Counts so far are kept.
    """
    if options.check:
        for task in tasks:
            _check(task.dataset, quiet=options.quiet)
    config = tasks[0].config
    if any(task.dataset.name != "scenes" for task in tasks) and not options.quiet:
        warn_if_bundled(config.model)
    device, dtype = config.machine()
    checkpoint = load_checkpoint(config.model, device=device, dtype=dtype)
    lht = (config.preset or checkpoint.preset).choose(config.lht)
    documents: list[Document] = []
    for task in tasks:
        with locked_counts(options.out, task.dataset.name, options.shard):
            documents.append(_run(task, checkpoint, lht, options))
    if options.as_json:
        click.echo(json.dumps({"datasets": documents}, indent=2))
    if options.shard is not None:
        command = f"lhtclip merge {shlex.quote(str(options.out))}"
        say(f"Shard {options.shard} is done. Once all are: {command}")
        return
    write_atomically(options.out / "report.md", markdown(documents).encode())
    if not options.as_json:
        print_table(*summary(documents))


def _check(dataset: Dataset, *, quiet: bool) -> None:
    """Stop before hours are spent on meaningless labels."""
    with Progress(f"label maps of {dataset.name} checked", quiet=quiet) as progress:
        report = check_dataset(dataset, maps=_CHECKED_MAPS, progress=progress)
    for finding in report.findings:
        if finding.broken:
            raise InputError(
                f"{finding.text} `lhtclip datasets check` shows more; --no-check goes on."
            )
        if not quiet:
            say(f"doubtful: {finding.text}")


def _run(task: Task, checkpoint: Checkpoint, lht: LhtSettings, options: RunOptions) -> Document:
    """Evaluate on one data set and write its results."""
    dataset, out = task.dataset, options.out
    segmenter = Segmenter.from_config(replace(task.config, lht=lht), checkpoint=checkpoint)
    vocabulary = task.protocol.vocabulary(dataset)
    written = out / f"{dataset.name}.json"
    if options.overwrite:
        written.unlink(missing_ok=True)  # its presence marks the end of a run
    chosen = choose_samples(dataset, limit=options.limit, seed=options.seed)
    with Progress("prompts", quiet=options.quiet) as progress:
        segmenter.texts.encode(queries_of(chosen, vocabulary), progress=progress)
    with Progress(f"images of {dataset.name}", quiet=options.quiet) as progress:
        evaluation = evaluate(
            segmenter,
            chosen,
            vocabulary,
            folder=out,
            workers=options.workers,
            trimap=options.trimap,
            predictions=options.predictions,
            overwrite=options.overwrite,
            shard=options.shard,
            progress=_report_to(progress),
        )
    document = describe(
        evaluation,
        segmenter,
        task.protocol,
        model=canonical_name(task.config.model),
        published=dataset.published or len(dataset.samples),
        deviations=task.deviations,
    )
    if options.shard:
        write_part(out, options.shard, document)
        return document
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_atomically(written, text.encode())
    if options.gallery:
        write_gallery(
            segmenter,
            vocabulary,
            evaluation,
            out,
            count=options.gallery,
            workers=options.workers,
        )
    return document


def _report_to(progress: Progress) -> Callable[[Running], None]:
    def report(running: Running) -> None:
        note = f"mIoU {100 * running.mean_iou:.2f}"
        progress(
            running.done,
            running.total,
            already=running.already,
            note=note if running.done > running.already else "",
        )

    return report
