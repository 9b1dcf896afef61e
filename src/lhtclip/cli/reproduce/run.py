"""The run of `lhtclip reproduce`: row after row, data set after data set, table after table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.checkpoints.device import choose_device, choose_dtype, dtype_name
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.cli.console import Progress, say
from lhtclip.clip.towers import ImageTextModel
from lhtclip.datasets import Dataset, open_dataset
from lhtclip.datasets.samples import choose_samples
from lhtclip.errors import InputError
from lhtclip.evaluation.machine import hardware, versions
from lhtclip.evaluation.runner import Running
from lhtclip.files import write_atomically
from lhtclip.files.json_files import json_types
from lhtclip.paper.efficiency import measure_efficiency
from lhtclip.paper.markdown import efficiency_table, table_on_data, table_on_scenes
from lhtclip.paper.random_weights import random_clip
from lhtclip.paper.reproduce import Bench, Measured, Missing
from lhtclip.paper.tables import COLUMNS, TABLES
from lhtclip.techniques.presets import PRESETS, Preset
from lhtclip.text.embeddings import TextEncoder

_VIT_B16 = "openai/clip-vit-base-patch16"


def reproduce(
    names: Sequence[str],
    *,
    root: str | None,
    scenes: str | None,
    model: str | None,
    preset: str | None,
    limit: int | None,
    out: str,
    device: str,
    dtype: str,
    random_weights: bool,
    quiet: bool,
) -> None:
    """Measure tables and print them.

    Raises:
        LhtClipError: Model, data or output folder cannot be used. Counts so far are kept.
    """
    if random_weights and tuple(names) != ("efficiency",):
        raise InputError("--random-weights is only for the table 'efficiency'.")
    if root is not None and scenes is not None:
        raise InputError("Give either --root or --scenes, not both.")
    if random_weights:
        target = choose_device(device)
        precision = choose_dtype(dtype, target)
        clip = random_clip(dtype=precision, device=target)
        _efficiency(clip, PRESETS[_VIT_B16], Path(out), "ViT-B/16 with random weights")
        return
    model = model or ("ViT-B-16" if root else BUNDLED)
    checkpoint = load_checkpoint(model, device=device, dtype=dtype)
    chosen = Preset.load(Path(preset)) if preset else checkpoint.preset
    bench = Bench(checkpoint, TextEncoder.of(checkpoint), chosen, Path(out) / "counts")
    for name in names:
        if name == "efficiency":
            _efficiency(checkpoint.model, chosen, Path(out), model)
            continue
        sets, missing = _datasets(name, root, scenes, limit=limit)
        measured = _measure(name, bench, sets, quiet=quiet)
        if root:
            text = table_on_data(name, measured, tuple(sets), missing)
        else:
            text = table_on_scenes(name, measured, *sets)
        rows = {each.row.title: _results(each) for each in measured}
        pictures = {key: len(dataset.samples) for key, dataset in sets.items()}
        content = {"rows": rows, "images": pictures, "missing": missing}
        _write(Path(out), name, text, content | _about(checkpoint.model, model))


def _efficiency(clip: ImageTextModel, preset: Preset, out: Path, model: str) -> None:
    costs = measure_efficiency(clip, preset)
    rows = {title: asdict(cost) for title, cost in costs.items()}
    _write(out, "efficiency", efficiency_table(costs), {"rows": rows} | _about(clip, model))


def _datasets(
    table: str, root: str | None, scenes: str | None, *, limit: int | None
) -> tuple[dict[str, Dataset], dict[str, str]]:
    """Open the data sets that exist, and report why others are missing."""
    if root is None:
        return {"scenes": choose_samples(open_dataset("scenes", scenes), limit=limit)}, {}
    found: dict[str, Dataset] = {}
    missing: dict[str, str] = {}
    for name in COLUMNS[table]:
        try:
            found[name] = choose_samples(open_dataset(name, root), limit=limit)
        except InputError as error:
            missing[name] = str(error)
    if not found:
        raise InputError(f"No data set of the paper is in {root}: {missing[COLUMNS[table][0]]}")
    return found, missing


def _measure(
    table: str, bench: Bench, datasets: Mapping[str, Dataset], *, quiet: bool
) -> list[Measured]:
    measured: list[Measured] = []
    for row in TABLES[table]:
        results: dict[str, float | Missing] = {}
        seconds: dict[str, float] = {}
        for name, dataset in datasets.items():
            with Progress(f"images of {name}, {table}: {row.title}", quiet=quiet) as progress:

                def report(running: Running, progress: Progress = progress) -> None:
                    progress(running.done, running.total, already=running.already)

                found = bench.measure(row, dataset, progress=report)
            if isinstance(found, Missing):
                results[name] = found
            else:
                results[name], seconds[name] = found
        measured.append(Measured(row, results, seconds))
    if not quiet:
        say(f"{table}: done")
    return measured


def _results(measured: Measured) -> dict[str, Any]:
    return {
        "published": dict(measured.row.published),
        "published_average": measured.row.average,
        "measured": {
            name: {"missing": value.reason} if isinstance(value, Missing) else value
            for name, value in measured.results.items()
        },
        "seconds_per_image": dict(measured.seconds),
    }


def _about(clip: ImageTextModel, model: str) -> dict[str, Any]:
    vision = clip.vision
    return {
        "model": model,
        "dtype": dtype_name(vision.dtype),
        "versions": versions(),
        "hardware": hardware(vision.device),
    }


def _write(out: Path, name: str, text: str, content: dict[str, Any]) -> None:
    content = json_types({"table": name, **content})
    write_atomically(out / f"{name}.md", (text + "\n").encode())
    write_atomically(out / f"{name}.json", (json.dumps(content, indent=2) + "\n").encode())
    click.echo(text + "\n")
