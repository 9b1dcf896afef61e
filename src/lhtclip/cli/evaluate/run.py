"""The run of `lhtclip evaluate`: one model, data set after data set."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from lhtclip.batch.chunks import Shard
from lhtclip.checkpoints.hub import canonical_name
from lhtclip.cli.console import Progress, print_table, say
from lhtclip.cli.load import check_model, load_model, refined_by, warn_if_bundled
from lhtclip.cli.options import EvaluateOptions
from lhtclip.datasets import Dataset, open_dataset
from lhtclip.datasets.check import check_dataset
from lhtclip.datasets.samples import choose_samples, queries_of
from lhtclip.decoding.decode import DecodeSettings
from lhtclip.engines import check_engine
from lhtclip.errors import InputError
from lhtclip.evaluation.gallery import write_gallery
from lhtclip.evaluation.measure import segmenter_by
from lhtclip.evaluation.merge import write_part
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.published_protocols import protocol_for, publication_of
from lhtclip.evaluation.report import Document, describe, markdown, summary
from lhtclip.evaluation.runner import Running, evaluate
from lhtclip.files import write_atomically
from lhtclip.image.windows import WindowSettings
from lhtclip.segmenter import Segmenter
from lhtclip.text.templates import resolve_templates
from lhtclip.text.vocabulary import BACKGROUND

_CHECKED_MAPS = 100


@dataclass(frozen=True, slots=True)
class _Task:
    """A data set, its published protocol, and the protocol used here."""

    dataset: Dataset
    published: Protocol
    used: Protocol

    @property
    def deviations(self) -> dict[str, dict[str, Any]]:
        """The settings that differ from the published ones, by name."""
        published, used = _settings(self.published), _settings(self.used)
        return {
            name: {"protocol": published[name], "used": value}
            for name, value in used.items()
            if value != published[name] and name != "batch"  # does not change labels
        }


def evaluate_all(options: EvaluateOptions) -> None:
    """Evaluate on every named data set, and report.

    Raises:
        LhtClipError: Settings, model, data or output folder cannot be used. Counts so far are kept.
    """
    shard = _shard(options)
    check_model(options)
    tasks = [_plan(name, options) for name in dict.fromkeys(options.names)]
    _check_distinct([task.dataset for task in tasks])
    if options.check:
        for task in tasks:
            _check(task.dataset, quiet=options.quiet)
    if any(task.dataset.name != "scenes" for task in tasks) and not options.quiet:
        warn_if_bundled(options.model)
    device, dtype = check_engine(
        options.engine, graph=options.graph, device=options.device, dtype=options.dtype
    )  # the engine comes later: the method may have other settings on some data sets
    model = load_model(replace(options, device=device, dtype=dtype, engine="torch", graph=None))
    documents = [_run(task, model, options, shard) for task in tasks]
    if options.as_json:
        click.echo(json.dumps({"datasets": documents}, indent=2))
    if shard is not None:
        say(f"Shard {shard} is done. Once all are: lhtclip merge {shlex.quote(options.out)}")
        return
    write_atomically(Path(options.out) / "report.md", markdown(documents).encode())
    if not options.as_json:
        print_table(*summary(documents))


def _shard(options: EvaluateOptions) -> Shard | None:
    if options.shard and (options.overwrite or options.gallery):
        name = "--overwrite" if options.overwrite else "--gallery"
        raise InputError(
            f"{name} does not go with --shard. Choose another folder (--out), or run the command "
            "without --shard after `lhtclip merge`."
        )
    return Shard.parse(options.shard) if options.shard else None


def _plan(name: str, options: EvaluateOptions) -> _Task:
    techniques = (options.atr, options.ssr, options.she)
    lht = any(options.lht if switched is None else switched for switched in techniques)
    publication = options.protocol or publication_of(options.method, lht=lht)
    published = protocol_for(name, publication)
    alone = set(options.names) == {name}
    dataset = open_dataset(name, options.root if name != "scenes" or alone else None)
    templates = options.templates or published.templates
    resolve_templates(templates)
    used = replace(
        published,
        windows=_windows(published, options),
        decoding=_decoding(published, options),
        templates=templates,
    )
    _check_background(dataset, used.decoding)
    return _Task(dataset, published, used)


def _check_background(dataset: Dataset, decoding: DecodeSettings) -> None:
    """Refuse thresholds if class 0 is not a background."""
    first = dataset.names[0]
    if first.casefold() != BACKGROUND and (decoding.threshold or decoding.area_threshold):
        raise InputError(
            f"A threshold moves pixels to class 0, but class 0 of {dataset.name} is {first!r}, not "
            "a background: leave out --threshold and --area-threshold."
        )


def _check_distinct(datasets: Sequence[Dataset]) -> None:
    names = [dataset.name for dataset in datasets]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"Two of the data sets are called {name!r}, so their results would have the same "
                "names: use a separate --out for each."
            )


def _windows(protocol: Protocol, options: EvaluateOptions) -> WindowSettings:
    windows = replace(
        protocol.windows,
        batch=options.batch,
        **_given(options, "short_side", "stride", "resize", "flip", "shifts"),
    )
    return windows if options.window is None else replace(windows, window=options.window or None)


def _decoding(protocol: Protocol, options: EvaluateOptions) -> DecodeSettings:
    decoding = replace(
        protocol.decoding, **_given(options, "logit_scale", "threshold", "area_threshold", "prior")
    )
    return decoding if options.refine is None else refined_by(decoding, options.refine)


def _given(options: EvaluateOptions, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _settings(protocol: Protocol) -> dict[str, Any]:
    return asdict(protocol.windows) | asdict(protocol.decoding) | {"templates": protocol.templates}


def _check(dataset: Dataset, *, quiet: bool) -> None:
    """Stop before hours are spent on meaningless labels."""
    with Progress(f"label maps of {dataset.name} checked", quiet=quiet) as progress:
        report = check_dataset(dataset, maps=_CHECKED_MAPS, progress=progress)
    for finding in report.findings:
        if finding.broken:
            raise InputError(
                f"{finding.text} `lhtclip datasets check` tells more; --no-check goes on."
            )
        if not quiet:
            say(f"doubtful: {finding.text}")


def _run(task: _Task, model: Segmenter, options: EvaluateOptions, shard: Shard | None) -> Document:
    """Evaluate on one data set and write its results."""
    dataset, out = task.dataset, Path(options.out)
    segmenter = segmenter_by(
        task.used,
        model.checkpoint,
        options.method,
        model.encoder.lht,
        residual=options.residual,
        mlp=options.mlp,
        engine=options.engine,
        graph=Path(options.graph) if options.graph else None,
        max_pixels=options.max_pixels,
    )
    vocabulary = task.used.vocabulary(dataset)
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
            shard=shard,
            progress=_report_to(progress),
        )
    document = describe(
        evaluation,
        segmenter,
        task.published,
        model=canonical_name(options.model),
        published=dataset.published or len(dataset.samples),
        deviations=task.deviations,
    )
    if shard:
        write_part(out, shard, document)
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
        note = f"mIoU {100 * running.mean_iou:.2f}, {running.images_per_second:.2f} images/s"
        progress(
            running.done,
            running.total,
            already=running.already,
            note=note if running.done > running.already else "",
        )

    return report
