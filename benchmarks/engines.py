"""Engines: torch, ONNX Runtime and OpenVINO on the same windows, in float32 and with int8 weights.

`python -m benchmarks.engines` exports the image tower with its techniques and times it. `--compile`
adds torch.compile. What int8 does to labels is measured with the model in the box on its scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Options, Work, measure, ratio, read_options
from benchmarks.materials import checkpoint_of, preset_of
from benchmarks.results import Results, size, spread, times_as_fast
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.checkpoints.hub import BUNDLED
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.encoder import DenseEncoder, PatchEncoder
from lhtclip.engines import ON_GRAPHS, run_by
from lhtclip.engines.export import TOLERANCE, export_graph
from lhtclip.engines.int8 import round_weights
from lhtclip.evaluation.scenes import new_confusion, segment_scenes
from lhtclip.segmenter import Segmenter
from lhtclip.text.embeddings import TextEncoder

BUDGET = 50.0  # seconds, beside those that exports take
WINDOWS = 6
QUICK_SCENES = 2
TORCH, COMPILE, INT8 = "torch", "compile", "int8 weights"


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--compile", action="store_true", help="torch.compile too: minutes")

    options, found = read_options(__doc__, budget=BUDGET, dtypes="float32", given=given, more=more)
    results = Results("engines", options)
    with TemporaryDirectory() as place:
        folder = Path(place)
        exported = {options.model: _exported(options.model, folder)}
        _measure_speed(exported[options.model], options, results, compiled=found.compile)
        if BUNDLED not in exported:
            exported[BUNDLED] = _exported(BUNDLED, folder)
        _measure_labels(exported[BUNDLED], options, results)
    results.save()
    return results


class _Exported:
    """A model with its techniques, and its graph with and without rounded weights."""

    def __init__(self, model: str, folder: Path) -> None:
        self.checkpoint: Checkpoint = checkpoint_of(
            model, folder=folder, dtype=torch.float32, device=torch.device("cpu")
        )
        lht = preset_of(model).select(lht=True)
        self.encoder = DenseEncoder(self.checkpoint.model, lht=lht)
        self.whole = folder / f"{model}.onnx"
        export_graph(self.encoder, self.whole, pixels=self.checkpoint.pixels)
        self.rounded = round_weights(self.whole, folder / f"{model}.int8.onnx")

    def runners(self) -> dict[str, PatchEncoder]:
        """Return everything that can run the encoder, torch itself first."""
        pixels = self.checkpoint.pixels
        graphs = {"": self.whole, f", {INT8}": self.rounded}
        return {TORCH: self.encoder} | {
            f"{engine}{suffix}": run_by(engine, self.encoder, pixels=pixels, graph=graph)
            for suffix, graph in graphs.items()
            for engine in ON_GRAPHS
        }


def _exported(model: str, folder: Path) -> _Exported:
    print(f"\nExporting {model}", flush=True)
    return _Exported(model, folder)


@torch.inference_mode()
def _measure_speed(
    exported: _Exported, options: Options, results: Results, *, compiled: bool
) -> None:
    runners = exported.runners()
    if compiled:
        runners[COMPILE] = run_by(COMPILE, exported.encoder, pixels=exported.checkpoint.pixels)
    side = exported.checkpoint.model.config.vision.image_size
    windows = torch.randn(WINDOWS, 3, side, side, generator=torch.Generator().manual_seed(0))
    embeddings = {name: runner(windows) for name, runner in runners.items()}
    works: dict[str, Work] = {name: partial(runner, windows) for name, runner in runners.items()}
    times = measure(works, budget=0.7 * options.clock.left, device=torch.device("cpu"))
    results.keep("tower", times)
    differences = {name: _largest(each, embeddings[TORCH]) for name, each in embeddings.items()}
    rows = [
        (
            name,
            spread(times[name]),
            times_as_fast(ratio(times[TORCH], times[name])),
            f"{differences[name]:.1e}",
            f"{_cosine(embeddings[name], embeddings[TORCH]):.5f}",
        )
        for name in runners
    ]
    results.table(
        f"{options.model} with LHT, {WINDOWS} windows, float32",
        ("engine", "tower", "against torch", "largest difference", "mean cosine with torch's"),
        rows,
    )
    files = (exported.whole, exported.rounded)
    whole, rounded = (size(path.stat().st_size) for path in files)
    results.note(f"The graph is a file of {whole}, and of {rounded} with {INT8}.")
    for engine in ON_GRAPHS:
        results.goal(
            f"{engine} against torch",
            f"equal within {TOLERANCE:g}",
            f"{differences[engine]:.1e}",
            reached=differences[engine] <= TOLERANCE,
        )


def _measure_labels(exported: _Exported, options: Options, results: Results) -> None:
    scenes = bundled_scenes()[: QUICK_SCENES if options.quick else None]
    texts = TextEncoder.of(exported.checkpoint, cache=False)
    labels: dict[str, np.ndarray] = {}
    scores: dict[str, float] = {}
    for name, runner in exported.runners().items():
        segmenter = Segmenter(exported.checkpoint, exported.encoder, texts, runner=runner)
        found = list(segment_scenes(segmenter, scenes))
        labels[name] = np.concatenate([each.segmentation.labels.ravel() for each in found])
        confusion = new_confusion(scenes)
        for each in found:
            each.count_in(confusion)
        scores[name] = confusion.mean_iou or 0.0
    results.numbers["labels"] = _told(labels, scores)
    results.table(
        f"The model in the box with LHT, {len(scenes)} scenes of 10 candidates or so",
        ("engine", "pixels with torch's label", "mIoU"),
        [
            (name, f"{100 * _agreement(each, labels[TORCH]):.2f} %", f"{100 * scores[name]:.2f} %")
            for name, each in labels.items()
        ],
    )


def _told(
    labels: Mapping[str, np.ndarray], scores: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    return {
        name: {"agreement": _agreement(each, labels[TORCH]), "mean_iou": scores[name]}
        for name, each in labels.items()
    }


def _agreement(labels: np.ndarray, wanted: np.ndarray) -> float:
    return float((labels == wanted).mean())


def _largest(embeddings: Tensor, wanted: Tensor) -> float:
    return float((embeddings - wanted).abs().max())


def _cosine(embeddings: Tensor, wanted: Tensor) -> float:
    return float(F.cosine_similarity(embeddings, wanted, dim=-1).mean())


if __name__ == "__main__":
    main()
