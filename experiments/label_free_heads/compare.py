"""Compare head rankings that need no labels with the labelled one, on models of this repository.

`python -m experiments.label_free_heads.compare --model src/lhtclip/data/bundled --scenes
runs/ranked --test runs/test` ranks the heads of each model on the images of `--scenes`, with
their labels and without, and scores the SHE of each ranking's first heads on scenes never used,
all other settings being those of one preset. Folders come from `training.held_out`. Whatever is
chosen is to be chosen on the first model and the first test.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.label_free_heads.rank_all import rank_by_all
from experiments.label_free_heads.resampling import (
    Floats,
    interval,
    resampled_mean_iou,
    scene_counts,
)
from lhtclip.analysis.compare import best_first, overlap, spearman
from lhtclip.analysis.patches import image_files, patch_batches, window_batches
from lhtclip.analysis.survey import survey
from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.datasets.dataset import Dataset
from lhtclip.datasets.scenes import read_scenes
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.machine import hardware, versions
from lhtclip.files import write_atomically
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.presets import PRESET_FILE, Preset
from lhtclip.techniques.she import Head
from lhtclip.text.embeddings import TextEncoder

PRESET = Path("src/lhtclip/data/bundled") / PRESET_FILE
LABELLED_WINDOWS, WINDOWS = 64, 32  # in a batch: pairs of patches are taken within it


def main() -> None:
    """Print Markdown tables, and write them and a JSON file where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, action="append", required=True)
    parser.add_argument("--scenes", type=Path, required=True, help="images to rank heads on")
    parser.add_argument("--test", type=Path, action="append", required=True, help="never used")
    parser.add_argument("--preset", type=Path, default=PRESET, help="settings of the techniques")
    parser.add_argument("--heads", type=int, help="how many SHE takes; by default as the preset")
    parser.add_argument("--random", type=int, default=5, help="draws of random heads")
    parser.add_argument("--out", type=Path, help="a folder for the JSON and the Markdown file")
    options = parser.parse_args()
    preset = Preset.load(options.preset)
    if preset.she is None:
        parser.error(f"{options.preset} has no SHE.")
    results = [
        compare(
            model,
            read_scenes(options.scenes),
            options.test,
            preset,
            count=options.heads or len(preset.she.heads),
            draws=options.random,
        )
        for model in options.model
    ]
    table = "\n".join([*(line for result in results for line in model_table(result)), ""])
    table += "\n".join([*summary(results), ""])
    print(table)
    if options.out:
        record = {
            "models": [result.record() for result in results],
            "versions": versions(),
            "hardware": hardware(torch.device("cpu")),
        }
        text = json.dumps(record, indent=1) + "\n"
        write_atomically(options.out / "head-rankings.json", text.encode())
        write_atomically(options.out / "head-rankings.md", table.encode())


@dataclass(frozen=True, slots=True)
class Row:
    """What one way to choose heads gave.

    spearman, overlap: With the labelled ranking; nan for what is no ranking.
    heads: Those of SHE, best first; of the random draws the last one's.
    mean_iou: By test, in %: that of all its scenes, then of each resample of them.
    """

    spearman: float
    overlap: float
    heads: tuple[Head, ...]
    mean_iou: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Result:
    """A model's rows by name; the first is the labelled ranking.

    preset: Settings of the techniques, its heads aside.
    reliability: Spearman of the labelled rankings of two halves of the images.
    """

    model: str
    preset: Preset
    reliability: float
    rows: dict[str, Row]

    def differences(self, name: str) -> dict[str, Floats]:
        """Return by test a row's mIoU less that of the labelled ranking, resample by resample."""
        labelled = self.rows["labelled"].mean_iou
        return {test: iou - labelled[test] for test, iou in self.rows[name].mean_iou.items()}

    def record(self) -> dict[str, Any]:
        """Return it in JSON types, without the resamples."""
        rows: dict[str, Any] = {}
        for name, row in self.rows.items():
            scores = {
                test: {"mean_iou": float(iou[0]), "difference": interval(difference)}
                for (test, iou), difference in zip(
                    row.mean_iou.items(), self.differences(name).values(), strict=True
                )
            }
            rows[name] = asdict(replace(row, mean_iou={})) | {"mean_iou": scores}
        settings = asdict(self.preset.select(lht=True))
        return {
            "model": self.model,
            "settings": settings,
            "reliability": self.reliability,
            "rows": rows,
        }


def compare(
    folder: Path, dataset: Dataset, tests: Sequence[Path], preset: Preset, *, count: int, draws: int
) -> Result:
    """Rank the heads of a model in all ways and score their SHE."""
    checkpoint = load_checkpoint(folder)
    texts = TextEncoder.of(checkpoint, cache=False)
    labelled = labelled_scores(checkpoint, dataset)
    scores = rank_by_all(
        checkpoint.model.vision,
        window_batches(image_files(dataset), checkpoint, batch=WINDOWS),
        texts=texts.encode(dataset.names),
        progress=lambda done: _say(f"{folder.name}: {done} windows ranked"),
    )
    halves = [
        labelled_scores(checkpoint, replace(dataset, samples=dataset.samples[start::2]))
        for start in (0, 1)
    ]
    bench = Bench(checkpoint, texts, preset, {test.name: read_scenes(test) for test in tests})
    first = best_first(labelled)
    rows: dict[str, Row] = {}
    for name, ranked in {"labelled": labelled, **scores}.items():
        order = best_first(ranked)
        rows[name] = Row(
            spearman(ranked, labelled),
            overlap(order, first, count=count),
            tuple(order[:count]),
            bench.mean_iou(order[:count]),
        )
    rows["random heads"] = _random_row(bench, first, count, draws)
    for name, heads in {
        "all heads": first,
        "last heads of labelled": first[-count:],
        "no SHE": [],
    }.items():
        rows[name] = Row(np.nan, np.nan, tuple(heads), bench.mean_iou(heads))
    return Result(folder.name, preset, spearman(*halves), rows)


def labelled_scores(checkpoint: Checkpoint, dataset: Dataset) -> dict[Head, float]:
    """Return the AUC of all heads before the last layer."""
    batches = patch_batches(dataset, checkpoint, batch=LABELLED_WINDOWS)
    found = survey(checkpoint.model.vision, batches)
    return {head: found.heads[head].auc for head in found.ranking()}


class Bench:
    """Scores sets of heads on test scenes, each set once."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        texts: TextEncoder,
        preset: Preset,
        tests: Mapping[str, Dataset],
    ) -> None:
        self._checkpoint, self._texts = checkpoint, texts
        self._lht = preset.select(lht=True)
        self._tests = tests
        self._known: dict[frozenset[Head], dict[str, Floats]] = {}

    def mean_iou(self, heads: Sequence[Head]) -> dict[str, Floats]:
        """Return by test the mIoU in %, of all scenes and of each resample; no heads, no SHE."""
        key = frozenset(heads)  # SHE takes the mean of its heads, so their order is nothing
        if key not in self._known:
            assert self._lht.she
            she = replace(self._lht.she, heads=tuple(heads)) if heads else None
            encoder = DenseEncoder(self._checkpoint.model, lht=replace(self._lht, she=she))
            segmenter = Segmenter(self._checkpoint, encoder, self._texts)
            self._known[key] = {
                test: resampled_mean_iou(np.stack(list(scene_counts(segmenter, scenes))))
                for test, scenes in self._tests.items()
            }
            _say(" ".join(f"{test} {iou[0]:.2f}" for test, iou in self._known[key].items()))
        return self._known[key]


def model_table(result: Result) -> Iterator[str]:
    """Yield a model's table in Markdown."""
    tests = list(result.rows["labelled"].mean_iou)
    yield f"## {result.model}\n"
    yield f"Spearman of the labelled rankings of two halves: {_show(result.reliability)}\n"
    yield f"| heads by | Spearman | first shared | {' | '.join(tests)} |"
    yield f"|---|---|---|{'---|' * len(tests)}"
    for name, row in result.rows.items():
        scores = [
            f"{row.mean_iou[test][0]:.2f} ({difference[0]:+.2f}, {_show_bounds(difference)})"
            for test, difference in result.differences(name).items()
        ]
        yield f"| {name} | {_show(row.spearman)} | {_show(row.overlap)} | {' | '.join(scores)} |"
    yield ""


def summary(results: Sequence[Result]) -> Iterator[str]:
    """Yield the means over models and tests in Markdown; the first of all is left out once."""
    yield "## mIoU less that of the labelled ranking: means\n"
    yield "| heads by | Spearman | first shared | all models and tests | without the first |"
    yield "|---|---|---|---|---|"
    for name in results[0].rows:
        rows = [result.rows[name] for result in results]
        differences = [d for result in results for d in result.differences(name).values()]
        cells = [np.mean([row.spearman for row in rows]), np.mean([row.overlap for row in rows])]
        shown = [_show(float(cell)) for cell in cells]
        for part in (differences, differences[1:]):
            mean = np.mean(part, axis=0) if part else None
            shown.append("" if mean is None else f"{mean[0]:+.2f} ({_show_bounds(mean)})")
        yield f"| {name} | {' | '.join(shown)} |"


def _random_row(bench: Bench, heads: Sequence[Head], count: int, draws: int) -> Row:
    generator = np.random.default_rng(0)
    drawn = [
        [heads[place] for place in generator.choice(len(heads), count, replace=False)]
        for _ in range(draws)
    ]
    scored = [bench.mean_iou(chosen) for chosen in drawn]
    means = {test: np.mean([scores[test] for scores in scored], axis=0) for test in scored[0]}
    return Row(np.nan, np.nan, tuple(drawn[-1]), means)


def _show(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def _show_bounds(differences: Floats) -> str:
    _, low, high = interval(differences)
    return f"{low:+.2f} to {high:+.2f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
