"""Maps of large rasters: memory and time by size, and the share of the time that the encoder has.

`python -m benchmarks.maps` labels square scenes of random blocks, each in a process of its own.
First a stub takes the place of the encoder, so that what counts is reading, decoding and writing;
`--sides 2000,8000,30000` chooses the sizes. Then the bundled model labels scenes of `--full`
pixels, and a published shape with random weights a small one. `--filled 0.1` leaves nine of ten
blocks of a scene empty: nodata, as in a mosaic of strips; `--square` is the side of a block of one
colour, and so decides how many regions `--vector .gpkg` writes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import Window
from torch import Tensor

from benchmarks.harness import Work, read_options
from benchmarks.materials import checkpoint_of, known_texts, preset_of
from benchmarks.memory import Alone, run_alone
from benchmarks.results import Results
from lhtclip import Segmenter, WindowSettings
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.encoder import DenseEncoder
from lhtclip.maps import label_raster
from lhtclip.text.vocabulary import Vocabulary

BUDGET = 240.0  # seconds
QUICK_SIDES = (500, 900)
SMALL = 1000  # pixels of the scene for a real encoder
MOST = 3e9  # bytes above the model, the goal
LEAST = 0.9  # of the encoder's own speed, the goal
STEADY = 1.2  # times as long for a pixel in the largest scene as in the smallest, the goal
CLASSES = "cat, dog, tree, water, brick|wall, grass"
_BLOCK = 512


class Stub:
    """Mean colours of patches through a random matrix, in place of an encoder."""

    engine = "stub"

    def __init__(self, segmenter: Segmenter) -> None:
        """Take the patch size and the width of the embeddings."""
        config = segmenter.checkpoint.model.config
        self._patch = config.vision.patch_size
        generator = torch.Generator().manual_seed(0)
        self._matrix = torch.randn(3, config.projection_dim, generator=generator)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode a batch."""
        means = torch.nn.functional.avg_pool2d(pixels.float(), self._patch)
        return torch.nn.functional.normalize(means.permute(0, 2, 3, 1) @ self._matrix, dim=-1)


@dataclass(frozen=True, slots=True)
class Scenes:
    """Which scenes to label, and what to write."""

    sides: tuple[int, ...]
    full: tuple[int, ...]
    stride: int
    filled: float
    square: int
    vector: str


@dataclass(frozen=True, slots=True)
class Spent:
    """Windows of a run, and seconds of its encoder by the clock and of its thread, and of all."""

    windows: int
    clock: float
    thread: float
    everything: float


class Watched:
    """An encoder that counts windows and time; one thread of torch is all that it uses."""

    def __init__(self, runner: Any) -> None:
        """Take the encoder."""
        self._runner, self.engine = runner, runner.engine
        self.windows, self.clock, self.thread = 0, 0.0, 0.0

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode a batch."""
        clock, thread = time.perf_counter(), time.thread_time()
        found = self._runner(pixels)
        self.clock += time.perf_counter() - clock
        self.thread += time.thread_time() - thread
        self.windows += len(pixels)
        return found


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, found = read_options(
        __doc__, budget=BUDGET, dtypes="float32", given=given, more=_add_options
    )
    torch.set_num_threads(found.threads or 1)  # the rest of the cores reads, decodes and writes
    sides, full = _numbers(found.sides), _numbers(found.full)
    sides, full = (QUICK_SIDES, QUICK_SIDES[:1]) if options.quick else (sides, full)
    scenes = Scenes(sides, full, found.stride, found.filled, found.square, found.vector)
    results = Results("maps", options)
    with tempfile.TemporaryDirectory() as folder:
        _by_size(results, scenes, Path(folder))
        _with_an_encoder(results, BUNDLED, scenes, Path(folder))
        if not options.quick and options.model != BUNDLED:
            small = replace(scenes, full=(SMALL,))
            _with_an_encoder(results, options.model, small, Path(folder))
    results.save()
    return results


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(",") if each)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sides", default="2000,8000", help="pixels of the scenes for the stub")
    parser.add_argument("--full", default="1000,2000", help="pixels of those for the model")
    parser.add_argument("--stride", type=int, default=112, help="pixels between windows")
    parser.add_argument("--filled", type=float, default=1.0, help="share of blocks with data")
    parser.add_argument("--square", type=int, default=16, help="pixels of a block of one colour")
    parser.add_argument("--vector", default="", help="suffix of a vector file to write as well")


def _by_size(results: Results, scenes: Scenes, folder: Path) -> None:
    if not scenes.sides:
        return
    rows: list[tuple[str, ...]] = []
    seconds: list[float] = []
    peaks: list[int] = []
    for side in scenes.sides:
        alone = _alone("stub", side, scenes, folder)
        if isinstance(alone, str):
            results.note(f"{side} pixels: {alone}")
            continue
        seconds.append(alone.seconds / side**2)
        peaks.append(alone.peak or 0)
        rows.append(
            (
                f"{side} x {side}",
                f"{alone.seconds:.1f} s",
                f"{side**2 / alone.seconds / 1e6:.2f} million pixels/s",
                f"{peaks[-1] / 1e6:.0f} MB",
            )
        )
    also = f", with {scenes.vector}" * bool(scenes.vector)
    results.table(
        f"A stub in place of the encoder, {scenes.filled:.0%} of the blocks filled{also}",
        ("scene", "time", "speed", "above the model"),
        rows,
    )
    results.goal(
        f"maps, memory above the model at {scenes.sides[-1]} pixels",
        f"<= {MOST / 1e9:.0f} GB",
        f"{max(peaks) / 1e9:.2f} GB",
        reached=max(peaks) <= MOST,
    )
    growth = max((later / earlier for earlier, later in pairwise(seconds)), default=1.0)
    results.goal(
        "maps, time for a pixel against that in the next smaller scene",
        f"<= {STEADY:g} times",
        f"{growth:.2f} times",
        reached=growth <= STEADY,
    )


def _with_an_encoder(results: Results, model: str, scenes: Scenes, folder: Path) -> None:
    rows: list[tuple[str, ...]] = []
    share = 0.0
    for side in scenes.full:
        alone = _alone(model, side, scenes, folder)
        if isinstance(alone, str):
            results.note(f"{side} pixels: {alone}")
            continue
        spent = Spent(*cast("Any", alone.result))
        share = spent.clock / alone.seconds
        rows.append(
            (
                f"{side} x {side}",
                str(spent.windows),
                f"{alone.seconds:.1f} s",
                f"{spent.windows / spent.thread:.1f}",
                f"{share:.0%}",
                f"{spent.thread / spent.everything:.0%}",
                f"{(alone.peak or 0) / 1e6:.0f} MB",
            )
        )
    results.table(
        f"{model}, stride {scenes.stride}, {torch.get_num_threads()} thread(s) of torch",
        (
            *("scene", "windows", "time", "windows/s of the encoder"),
            *("encoder's share of the time", "of the processor time", "above the model"),
        ),
        rows,
    )
    results.goal(
        f"maps, share of the time that the encoder of {model} works",
        f">= {LEAST:.0%}",
        f"{share:.0%}",
        reached=share >= LEAST,
    )


def _alone(model: str, side: int, scenes: Scenes, folder: Path) -> Alone | str:
    """Label a scene in a process of its own."""
    scene = write_scene(folder / f"{side}.tif", side, filled=scenes.filled, square=scenes.square)
    work = partial(_prepared, model, scene, scenes.stride, scenes.vector)
    alone = run_alone(work, torch.device("cpu"), patience=3600)
    scene.unlink()
    return alone


def write_scene(path: Path, side: int, *, filled: float = 1.0, square: int = 16) -> Path:
    """Write squares of one colour, the same 512 x 512 pixels in every block that is filled."""
    random = np.random.default_rng(0)
    block = random.integers(1, 256, (3, _BLOCK // square, _BLOCK // square), np.uint8)
    block = block.repeat(square, 1).repeat(square, 2)
    profile = {
        **{"driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8"},
        **{"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "DEFLATE"},
        **{"crs": "EPSG:32632", "transform": from_origin(5e5, 5.2e6, 0.5, 0.5)},
        **{"interleave": "pixel", "BIGTIFF": "IF_SAFER"},
        **{"nodata": 0, "SPARSE_OK": True},
    }
    with rasterio.open(path, "w", **profile) as dataset:
        for top in range(0, side, _BLOCK):
            for left in range(0, side, _BLOCK):
                height, width = min(_BLOCK, side - top), min(_BLOCK, side - left)
                window = Window(left, top, width, height)
                if (top + left) // _BLOCK * filled % 1 < filled:
                    dataset.write(block[:, :height, :width], window=window)
    return path


def _prepared(model: str, scene: Path, stride: int, vector: str) -> Work:
    """Load a model, or a stub for it, and make a small map first."""
    out = scene.parent / f"{model}-{scene.stem}-map"
    out.mkdir()
    plain = _segmenter(model, out)
    watched = Watched(Stub(plain) if model == "stub" else plain.runner)
    segmenter = Segmenter(
        plain.checkpoint,
        plain.encoder,
        plain.texts,
        windows=WindowSettings(stride=stride),
        runner=watched,
    )

    def label(scene: Path, name: str) -> None:
        regions = out / f"{name}{vector}" if vector else None
        label_raster(segmenter, scene, CLASSES, out / f"{name}.tif", vector=regions)

    label(write_scene(out / "small.tif", 300), "small-map")
    watched.windows, watched.clock, watched.thread = 0, 0.0, 0.0

    def work() -> tuple[float, ...]:
        started = time.process_time()
        label(scene, "map")
        seconds = time.process_time() - started
        return watched.windows, watched.clock, watched.thread, seconds

    return work


def _segmenter(model: str, folder: Path) -> Segmenter:
    if model in (BUNDLED, "stub"):
        return Segmenter.from_pretrained(BUNDLED, device="cpu", dtype="float32", text_cache=False)
    vocabulary = Vocabulary.of(CLASSES)
    checkpoint = checkpoint_of(
        model, folder=folder, dtype=torch.float32, device=torch.device("cpu")
    )
    encoder = DenseEncoder(checkpoint.model, method="sclip", lht=preset_of(model).choose(True))
    return Segmenter(checkpoint, encoder, known_texts(checkpoint, vocabulary.queries, folder))


if __name__ == "__main__":
    main()
