"""Maps of large rasters: memory and time by size, and the share of the time that the encoder has.

`python -m benchmarks.maps` labels square scenes of random blocks. By size, a stub takes the place
of the encoder, so that what counts is reading, decoding and writing; a real encoder then tells how
much of its own speed is left on a small scene. `--sides 2000,8000,30000` chooses the sizes, and
`--filled 0.1` leaves nine of ten blocks of a scene empty: nodata, as in a mosaic of strips.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import Window
from torch import Tensor

from benchmarks.harness import Work, read_options
from benchmarks.materials import checkpoint_of, known_texts, preset_of
from benchmarks.memory import run_alone
from benchmarks.results import Results
from lhtclip import Segmenter
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.encoder import DenseEncoder
from lhtclip.maps import label_raster
from lhtclip.text.vocabulary import Vocabulary

BUDGET = 240.0  # seconds
SIDES, QUICK_SIDES = (2000, 8000), (500, 900)
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


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, found = read_options(
        __doc__, budget=BUDGET, dtypes="float32", given=given, more=_add_sides
    )
    sides = tuple(map(int, found.sides.split(","))) if found.sides else SIDES
    sides = QUICK_SIDES if options.quick else sides
    results = Results("maps", options)
    with tempfile.TemporaryDirectory() as folder:
        _by_size(results, sides, found.filled, Path(folder))
        model = BUNDLED if options.quick else options.model
        _beside_the_encoder(results, model, min(SMALL, sides[0]), Path(folder))
    results.save()
    return results


def _add_sides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sides", default="", help="pixels of the square scenes, ascending")
    parser.add_argument("--filled", type=float, default=1.0, help="share of blocks with data")


def _by_size(results: Results, sides: tuple[int, ...], filled: float, folder: Path) -> None:
    rows: list[tuple[str, ...]] = []
    seconds: list[float] = []
    peaks: list[int] = []
    for side in sides:
        scene = write_scene(folder / f"{side}.tif", side, filled=filled)
        alone = run_alone(partial(_prepared, scene), torch.device("cpu"), patience=3600)
        scene.unlink()
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
    results.table(
        f"A stub in place of the encoder, {filled:.0%} of the blocks filled",
        ("scene", "time", "speed", "above the model"),
        rows,
    )
    results.goal(
        f"maps, memory above the model at {sides[-1]} pixels",
        f"<= {MOST / 1e9:.0f} GB",
        f"{max(peaks) / 1e9:.2f} GB",
        reached=max(peaks) <= MOST,
    )
    growth = max(later / earlier for earlier, later in pairwise(seconds))
    results.goal(
        "maps, time for a pixel against that in the next smaller scene",
        f"<= {STEADY:g} times",
        f"{growth:.2f} times",
        reached=growth <= STEADY,
    )


def _beside_the_encoder(results: Results, model: str, side: int, folder: Path) -> None:
    scene, vocabulary = write_scene(folder / "scene.tif", side), Vocabulary.of(CLASSES)
    checkpoint = checkpoint_of(
        model, folder=folder, dtype=torch.float32, device=torch.device("cpu")
    )
    encoder = DenseEncoder(checkpoint.model, method="sclip", lht=preset_of(model).choose(True))
    texts = known_texts(checkpoint, vocabulary.queries, folder)
    segmenter = Segmenter(checkpoint, encoder, texts)
    started = time.process_time()
    summary = label_raster(segmenter, scene, vocabulary, folder / "map.tif")
    seconds = time.process_time() - started
    pixels = torch.zeros(segmenter.windows.at_once("cpu"), 3, 224, 224)
    with torch.inference_mode():
        encoder(pixels)
        started = time.process_time()
        encoder(pixels)
        alone = (time.process_time() - started) / len(pixels) * summary.windows
    results.table(
        f"{model} on {side} x {side} pixels, processor time",
        ("windows", "the map", "the encoder alone"),
        [(str(summary.windows), f"{seconds:.1f} s", f"{alone:.1f} s")],
    )
    results.goal(
        "maps, the encoder's share of the processor time",
        f">= {LEAST:.0%}",
        f"{alone / seconds:.0%}",
        reached=alone / seconds >= LEAST,
    )


def write_scene(path: Path, side: int, *, filled: float = 1.0) -> Path:
    """Write squares of 16 pixels, the same 512 x 512 pixels in every block that is filled."""
    random = np.random.default_rng(0)
    block = random.integers(1, 256, (3, _BLOCK // 16, _BLOCK // 16), np.uint8)
    block = block.repeat(16, 1).repeat(16, 2)
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


def _prepared(scene: Path) -> Work:
    """Load a model with a stub for an encoder, and make a small map first."""
    plain = _segmenter()
    segmenter = Segmenter(plain.checkpoint, plain.encoder, plain.texts, runner=Stub(plain))
    out = scene.parent / f"{scene.stem}-map"
    out.mkdir()
    small = write_scene(out / "small.tif", 300)
    label_raster(segmenter, small, CLASSES, out / "small-map.tif")
    return partial(label_raster, segmenter, scene, CLASSES, out / "map.tif")


def _segmenter() -> Segmenter:
    return Segmenter.from_pretrained("bundled", device="cpu", dtype="float32", text_cache=False)


if __name__ == "__main__":
    main()
