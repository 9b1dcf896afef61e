"""Engines: torch and ONNX Runtime on the same windows, in float32, bfloat16 and with int8 weights.

`python -m benchmarks.engines` times the image tower with its techniques, and compares the labels of
the engines on the bundled scenes with the bundled model.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F

from benchmarks.harness import Options, Work, measure, ratio, read_options
from benchmarks.materials import checkpoint_of, preset_of
from benchmarks.results import Results, dtype_name, size, spread, times_as_fast
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.encoder import DenseEncoder, PatchEncoder
from lhtclip.engines.export import export_graph
from lhtclip.engines.graph import GraphEncoder
from lhtclip.engines.int8 import round_weights
from lhtclip.engines.onnx_runtime import open_graph
from lhtclip.segmenter import Segmenter
from lhtclip.text.embeddings import TextEncoder

BUDGET = 60.0  # seconds, besides the exports
WINDOWS = 6
QUICK_SCENES = 2
AGREEMENT, SPEED = 0.995, 1.7  # goals for int8: pixels with torch's label, times torch's speed
TORCH, ONNX, INT8 = "torch, float32", "onnx, float32", "onnx, int8 weights"
TOGETHER = f"{INT8}, windows in one batch"  # as our engine does not run it: they would interact


@torch.inference_mode()
def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, dtypes="float32,bfloat16", given=given)
    results = Results("engines", options)
    with TemporaryDirectory() as folder:
        engines = {model: _Engines(model, Path(folder)) for model in {options.model, BUNDLED}}
        _measure_speed(engines[options.model], options, results)
        _measure_labels(engines[BUNDLED], options, results)
    results.save()
    return results


class _Engines:
    """A model with its techniques, and its graph with and without rounded weights."""

    def __init__(self, model: str, folder: Path) -> None:
        cpu = torch.device("cpu")
        self.checkpoint: Checkpoint = checkpoint_of(
            model, folder=folder, dtype=torch.float32, device=cpu
        )
        self.half = checkpoint_of(model, folder=folder, dtype=torch.bfloat16, device=cpu)
        self.lht = preset_of(model).select(lht=True)
        self.encoder = DenseEncoder(self.checkpoint.model, lht=self.lht)
        print(f"\nExporting {model}", flush=True)
        self.whole = folder / f"{model}.onnx"
        export_graph(self.encoder, self.whole, pixels=self.checkpoint.pixels)
        self.rounded = round_weights(self.whole, folder / f"{model}.int8.onnx")

    def encoders(self) -> dict[str, PatchEncoder]:
        """Return everything that runs the encoder in float32, torch itself first."""
        return {
            TORCH: self.encoder,
            ONNX: GraphEncoder("onnx", open_graph(self.whole), self.encoder),
            INT8: GraphEncoder("onnx int8", open_graph(self.rounded), self.encoder),
        }


def _measure_speed(engines: _Engines, options: Options, results: Results) -> None:
    side = engines.checkpoint.model.config.vision.image_size
    windows = torch.randn(WINDOWS, 3, side, side, generator=torch.Generator().manual_seed(0))
    encoders = engines.encoders()
    works: dict[str, Work] = {name: partial(run, windows) for name, run in encoders.items()}
    embeddings = {name: run(windows) for name, run in encoders.items()}
    for dtype in options.dtypes:
        if dtype != torch.float32:
            name, half = f"torch, {dtype_name(dtype)}", windows.to(dtype)
            encoder = DenseEncoder(engines.half.model.to(dtype), lht=engines.lht)
            works[name], embeddings[name] = partial(encoder, half), encoder(half)
    together, queries = open_graph(engines.rounded), torch.eye(embeddings[TORCH].shape[-1])
    works[TOGETHER] = partial(together, windows.numpy(), queries.numpy())
    embeddings[TOGETHER] = torch.from_numpy(together(windows.numpy(), queries.numpy()))
    times = measure(works, budget=0.7 * options.clock.budget, device=torch.device("cpu"))
    cosines = {
        name: float(F.cosine_similarity(each, embeddings[TORCH], dim=-1).mean())
        for name, each in embeddings.items()
    }
    results.table(
        f"{options.model} with LHT, {WINDOWS} windows",
        ("engine", "tower", "against torch in float32", "mean cosine with it"),
        [
            (name, spread(times[name]), times_as_fast(ratio(times[TORCH], times[name])), f"{c:.5f}")
            for name, c in cosines.items()
        ],
    )
    whole, rounded = (size(path.stat().st_size) for path in (engines.whole, engines.rounded))
    results.note(f"The graph takes {whole} in float32 and {rounded} with int8 weights.")
    speed = ratio(times[TORCH], times[INT8])
    results.goal(
        f"{INT8} against torch in float32",
        f"≥ {times_as_fast(SPEED)}",
        times_as_fast(speed),
        reached=speed >= SPEED,
    )


def _measure_labels(engines: _Engines, options: Options, results: Results) -> None:
    scenes = bundled_scenes()[: QUICK_SCENES if options.quick else None]
    texts = TextEncoder.of(engines.checkpoint, cache=False)
    agreed = dict.fromkeys(engines.encoders(), 0)
    pixels = 0
    segmenters = {
        name: Segmenter(engines.checkpoint, engines.encoder, texts, runner=run)
        for name, run in engines.encoders().items()
    }
    for scene in scenes:
        labels = {
            name: segmenter.segment(scene.image, list(scene.names)).labels
            for name, segmenter in segmenters.items()
        }
        pixels += labels[TORCH].size
        for name, each in labels.items():
            agreed[name] += int((each == labels[TORCH]).sum())
    shares = {name: count / pixels for name, count in agreed.items()}
    results.table(
        f"The bundled model with LHT, {len(scenes)} scenes",
        ("engine", "pixels with torch's label"),
        [(name, f"{100 * share:.2f} %") for name, share in shares.items()],
    )
    results.goal(
        f"{INT8}, labels of the bundled scenes",
        f"≥ {100 * AGREEMENT:.1f} % as torch in float32",
        f"{100 * shares[INT8]:.2f} %",
        reached=shares[INT8] >= AGREEMENT,
    )


if __name__ == "__main__":
    main()
