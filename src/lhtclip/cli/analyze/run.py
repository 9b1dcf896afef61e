"""The runs of `lhtclip analyze`: one model, one data set, one of three measurements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import torch
from torch import Tensor

from lhtclip.analysis.figures import can_draw, check_can_draw, save_figure
from lhtclip.analysis.figures_survey import heads_figure, layers_figure
from lhtclip.analysis.figures_tokens import tokens_figure
from lhtclip.analysis.patches import image_files, patch_batches, window_batches
from lhtclip.analysis.published import VIT_B16, Curve, Tower, compare_heads, published_curves
from lhtclip.analysis.sparsity import sparsity_gap
from lhtclip.analysis.survey import Survey, survey
from lhtclip.analysis.tokens import token_statistics
from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.device import choose_device, choose_dtype, dtype_name
from lhtclip.checkpoints.hub import canonical_name
from lhtclip.cli.analyze import tables
from lhtclip.cli.analyze.options import AnalyzeOptions
from lhtclip.cli.analyze.tables import Row, Table
from lhtclip.cli.console import Progress, print_path, print_table, say
from lhtclip.datasets import Dataset, open_dataset
from lhtclip.datasets.samples import choose_samples, queries_of
from lhtclip.errors import InputError
from lhtclip.evaluation.machine import hardware, versions
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.files import write_atomically
from lhtclip.files.json_files import json_types
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.ssr import SsrSettings
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.templates import resolve_templates

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is measured, and on what."""

    options: AnalyzeOptions
    checkpoint: Checkpoint
    preset: Preset
    dataset: Dataset

    @property
    def tower(self) -> Tower:
        config = self.checkpoint.model.vision.config
        return Tower(config.num_hidden_layers, config.num_attention_heads, config.patch_size)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of a measurement.

    Attributes:
        rows: Rows of the CSV file.
        content: Content of the JSON file, besides what all measurements share.
        tables: Tables to print.
        draw: Draws the figure.
    """

    measure: str
    rows: list[Row]
    content: Row
    tables: list[Table]
    draw: Callable[[], Figure]


def analyze_layers(options: AnalyzeOptions) -> None:
    """Measure the layers, with and without SSR, and report the result.

    Raises:
        LhtClipError: Settings, model, data or output folder cannot be used.
    """
    templates = options.templates or protocol_for(options.name, "lht").templates
    resolve_templates(templates)
    subject = _open(options)
    published = _published_curves(subject) if options.compare_paper else ()
    words, ssr = _words(subject, templates), subject.preset.ssr
    surveys = {tables.PLAIN: _survey(subject, words=words)}
    if options.ssr:
        surveys[tables.WITH_SSR] = _survey(subject, words=words, ssr=ssr)
    rows = tables.layer_rows(surveys)
    outcome = _Outcome(
        "layers",
        rows,
        {"templates": templates, "ssr": asdict(ssr) if options.ssr else None, "layers": rows},
        [tables.layer_table(rows)],
        lambda: layers_figure(
            surveys, reweighted=ssr.layers if options.ssr else (), published=published
        ),
    )
    if published:
        agreements = tables.curve_agreements(published, surveys)
        outcome.content["paper"] = [asdict(each) for each in agreements]
        outcome.tables.append(tables.curve_table(agreements))
    _finish(subject, outcome)


def analyze_heads(options: AnalyzeOptions) -> None:
    """Measure the heads and report the result.

    Raises:
        LhtClipError: Settings, model, data or output folder cannot be used.
    """
    subject = _open(options)
    if options.compare_paper and subject.tower != VIT_B16:
        raise InputError(
            f"The paper's heads are those of OpenAI's ViT-B/16, a tower of {VIT_B16}; "
            f"{options.model} has {subject.tower}. Omit --compare-paper."
        )
    atr = subject.preset.atr if options.atr else None
    found = _survey(subject, atr=atr)
    candidates = {head: found.heads[head] for head in found.ranking()}
    last = max(found.layers)
    rows = tables.head_rows(found.heads, last=last)
    outcome = _Outcome(
        "heads",
        rows,
        {"atr": atr and asdict(atr), "heads": rows},
        [tables.head_table(rows)],
        lambda: heads_figure(
            candidates, layers={layer: found.layers[layer] for layer in range(1, last)}
        ),
    )
    if options.compare_paper:
        agreement = compare_heads({head: each.auc for head, each in candidates.items()})
        table, outcome.content["paper"] = tables.heads_comparison(agreement)
        outcome.tables.append(table)
    _finish(subject, outcome)


def analyze_tokens(options: AnalyzeOptions) -> None:
    """Count abnormal tokens and report the result.

    Raises:
        LhtClipError: Settings, model, data or output folder cannot be used.
    """
    subject = _open(options)
    checkpoint, files = subject.checkpoint, image_files(subject.dataset)
    threshold = options.threshold
    if threshold is None:
        threshold = subject.preset.atr.threshold
    with _progress(subject) as progress:
        batches = window_batches(_told(files, progress), checkpoint, batch=options.batch)
        statistics = token_statistics(checkpoint.model.vision, batches, threshold=threshold)
    entering = statistics.entering_last
    gap = sparsity_gap(entering.histogram)
    rows = tables.token_rows(statistics)
    outcome = _Outcome(
        "tokens",
        rows,
        {"threshold": threshold, "gap": gap, **asdict(statistics)},
        [tables.token_table(rows)],
        lambda: tokens_figure(statistics, threshold=threshold, gap=gap),
    )
    _finish(subject, outcome)
    if not options.quiet:
        found = "have no tail" if gap is None else f"part at {gap:.3f}"
        say(f"The Hoyer scores of layer {entering.layer} {found}; the threshold is {threshold:g}.")


def _open(options: AnalyzeOptions) -> _Subject:
    """Check everything, then load the model."""
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    canonical_name(options.model)  # a misspelt name is reported before the data is read
    preset = Preset.load(Path(options.preset)) if options.preset else None
    if options.figures:
        check_can_draw()
    dataset = open_dataset(options.name, options.root)
    dataset = choose_samples(dataset, limit=options.limit, seed=options.seed)
    checkpoint = load_checkpoint(options.model, device=device, dtype=dtype)
    return _Subject(options, checkpoint, preset or checkpoint.preset, dataset)


def _words(subject: _Subject, templates: str) -> tuple[Tensor, Tensor]:
    """Embed the prompts of the classes: (prompts, E), and the class of each (prompts,)."""
    options, dataset = subject.options, subject.dataset
    vocabulary = protocol_for(options.name, "lht").vocabulary(dataset)
    used = set(queries_of(dataset, vocabulary))
    pairs = zip(vocabulary.queries, vocabulary.class_of_query, strict=True)
    queries = [(query, index) for query, index in pairs if query in used]
    texts = TextEncoder.of(subject.checkpoint, templates=templates)
    with Progress("prompts", quiet=options.quiet) as progress:
        embeddings = texts.encode([query for query, _ in queries], progress=progress)
    return embeddings, torch.tensor([index for _, index in queries], device=embeddings.device)


def _survey(
    subject: _Subject,
    *,
    words: tuple[Tensor, Tensor] | None = None,
    ssr: SsrSettings | None = None,
    atr: AtrSettings | None = None,
) -> Survey:
    with _progress(subject, ", with SSR" if ssr else "") as progress:
        return survey(
            subject.checkpoint.model.vision,
            patch_batches(
                subject.dataset,
                subject.checkpoint,
                batch=subject.options.batch,
                progress=progress,
            ),
            words=words,
            ssr=ssr,
            atr=atr,
            seed=subject.options.seed or 0,
        )


def _published_curves(subject: _Subject) -> tuple[Curve, ...]:
    curves = published_curves(subject.tower, subject.options.name)
    if not curves:
        raise InputError(
            f"The paper has no curves of {subject.options.name} by a tower of {subject.tower}. It "
            "has OpenAI's ViT-B/16 on VOC and Context, and ViT-L/14 on VOC and ADE20K: leave "
            "--compare-paper out."
        )
    return curves


def _progress(subject: _Subject, note: str = "") -> Progress:
    return Progress(f"images of {subject.dataset.name}{note}", quiet=subject.options.quiet)


def _told(files: Sequence[Path], progress: Progress) -> Iterator[Path]:
    """Report each image when it is read."""
    for done, file in enumerate(files, start=1):
        yield file
        progress(done, len(files))


def _finish(subject: _Subject, outcome: _Outcome) -> None:
    """Write the files, then print the results and the paths."""
    options, vision = subject.options, subject.checkpoint.model.vision
    document = json_types(
        {
            "measure": outcome.measure,
            "model": canonical_name(options.model),
            "image_tower": vision.fingerprint(),
            "preset": subject.preset.source,
            "dataset": subject.dataset.name,
            "images": len(subject.dataset.samples),
            "seed": options.seed,
            "batch": options.batch,
            "dtype": dtype_name(vision.dtype),
            **outcome.content,
            "versions": versions(),
            "hardware": hardware(vision.device),
        }
    )
    stem = Path(options.out) / f"{subject.dataset.name}.{outcome.measure}"
    text = json.dumps(document, indent=2) + "\n"
    written = [
        write_atomically(
            stem.with_name(stem.name + ".csv"), tables.csv_text(outcome.rows).encode()
        ),
        write_atomically(stem.with_name(stem.name + ".json"), text.encode()),
    ]
    if options.figures or (options.figures is None and can_draw()):
        written += save_figure(outcome.draw(), stem)
    elif options.figures is None and not options.quiet:
        say("No figures, because matplotlib is missing: pip install 'lhtclip[analysis]'.")
    if options.as_json:
        click.echo(text, nl=False)
        return
    for header, rows in outcome.tables:
        print_table(header, rows)
    for path in written:
        print_path(path)
