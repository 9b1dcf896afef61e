"""A folder of photographs, with `lhtclip segment` and from memory, against the tower alone.

`python -m benchmarks.folder` writes JPEGs in sizes typical of data sets and labels them with the
command. Loading the model is not counted: each round subtracts the time of a run on one photo.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import time
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.harness import Options, Times, Work, measure, read_options
from benchmarks.materials import checkpoint_of, clip_of, known_texts, save_photo, write_tokenizer
from benchmarks.results import Results, dtype_name, duration, percent
from lhtclip.checkpoints.checkpoint import save_checkpoint
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.checkpoints.layout import TOKENIZER_FILE
from lhtclip.cli import main as lhtclip
from lhtclip.encoder import DenseEncoder
from lhtclip.image.pixels import read_image, resized_shape
from lhtclip.image.windows import WindowSettings, plan_windows
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary, shipped_classes

BUDGET = 90.0  # seconds
MOST_PHOTOS = 200
SHARE = 0.9  # of the tower's speed, the goal on a CPU
RATE = 1500  # windows a second from memory, the goal on a GPU
SIZES = ((375, 500), (500, 333), (480, 640), (427, 640), (640, 480), (512, 683), (1200, 1600))
TOWER, ONE = "tower alone", "one photo"
ALL, LABELS, MEMORY = "labels and overlays", "labels only", "labels, from memory"
_NAMES = [names[0] for names in shipped_classes("voc20")]


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--photos", type=int, help="how many; by default what time allows")

    options, found = read_options(__doc__, budget=BUDGET, dtypes="auto", given=given, more=more)
    results = Results("folder", options)
    with TemporaryDirectory() as place, _own_cache(Path(place)):
        _measure(options, results, Path(place), photos=found.photos)
    results.save()
    return results


def _measure(options: Options, results: Results, place: Path, *, photos: int | None) -> None:
    dtype, device = options.fastest, options.device
    checkpoint = checkpoint_of(options.model, folder=place, dtype=dtype, device=device)
    model = clip_of(checkpoint)
    name = options.model
    if name != BUNDLED:
        name = str(place / "model")
        save_checkpoint(model, Path(name), dtype=torch.float32)
        write_tokenizer(Path(name, TOKENIZER_FILE), end=model.config.text.eos_token_id)
    encoder = DenseEncoder(model, method="sclip")
    batch = WindowSettings().at_once(device.type)
    side = WindowSettings().window or 0
    pixels = torch.randn(batch, 3, side, side).to(device, dtype)

    first = save_photo(place / "photos" / "one.jpg", *SIZES[0])
    run = partial(_segment, place, name, options, dtype)
    run(first, "warm")
    started = time.perf_counter()
    _encode(encoder, pixels, batch)
    count = photos or _affordable((time.perf_counter() - started) / batch, options)
    sizes = [SIZES[index % len(SIZES)] for index in range(count)]
    folder = place / "photos" / "all"
    paths = [
        save_photo(folder / f"{index:03}.jpg", height, width, seed=index)
        for index, (height, width) in enumerate(sizes)
    ]
    windows = sum(map(count_windows, sizes)) - count_windows(SIZES[0])  # without the first photo
    segmenter = Segmenter(checkpoint, encoder, known_texts(checkpoint, _NAMES, place / "random"))
    works: dict[str, Work] = {
        TOWER: partial(_encode, encoder, pixels, windows),
        MEMORY: partial(_label_all, segmenter, [read_image(path) for path in paths[1:]]),
        ONE: partial(run, first, "one"),
        ALL: partial(run, folder, "all"),
        LABELS: partial(run, folder, "labels", "--format", "labels"),
    }
    times = measure(works, budget=options.clock.left, device=device)
    _report(len(sizes) - 1, windows, times, options, results)


@torch.inference_mode()
def _encode(encoder: DenseEncoder, pixels: Tensor, windows: int) -> None:
    """Encode this many windows, in batches as large as `pixels` and a rest."""
    for done in range(0, windows, len(pixels)):
        encoder(pixels[: windows - done])


def _label_all(segmenter: Segmenter, images: Sequence[NDArray[np.uint8]]) -> None:
    vocabulary = Vocabulary.of(_NAMES)
    for encoded in segmenter.encode_many(images):
        encoded.segment(vocabulary)


def _report(
    photos: int, windows: int, times: Mapping[str, Times], options: Options, results: Results
) -> None:
    own = {TOWER: times[TOWER].seconds, MEMORY: times[MEMORY].seconds}
    for name in (ALL, LABELS):
        pairs = zip(times[name].seconds, times[ONE].seconds, strict=True)
        own[name] = tuple(all_of_them - one for all_of_them, one in pairs)
    shares = {
        name: statistics.median(a / b for a, b in zip(own[TOWER], seconds, strict=True))
        for name, seconds in own.items()
    }
    rates = {name: windows / statistics.median(seconds) for name, seconds in own.items()}
    dtype = dtype_name(options.fastest)
    results.table(
        f"{options.model}, {dtype}, {photos} photos in {windows} windows; "
        f"loading and one photo: {duration(times[ONE].median)}",
        ("", "time", "windows/s", "photos/s", "of the tower's speed"),
        [
            (
                name,
                duration(statistics.median(seconds)),
                f"{rates[name]:.1f}",
                f"{rates[name] * photos / windows:.2f}",
                percent(shares[name]),
            )
            for name, seconds in own.items()
        ],
    )
    if options.device.type == "cuda":
        results.goal(
            f"{photos} photos from memory to labels, {dtype}",
            f"≥ {RATE} windows/s",
            f"{rates[MEMORY]:.0f} windows/s",
            reached=rates[MEMORY] >= RATE,
        )
    else:
        results.goal(
            f"folder of {photos} photos, {dtype}",
            f"≥ {percent(SHARE)} of the tower's speed",
            f"{percent(shares[ALL])}; labels only {percent(shares[LABELS])}",
            reached=shares[ALL] >= SHARE,
        )


def _affordable(per_window: float, options: Options) -> int:
    """Return how many photos fit into the time: the tower and three runs, twice, plus the rest."""
    per_photo = 4.3 * per_window * sum(map(count_windows, SIZES)) / len(SIZES)
    return max(len(SIZES), min(MOST_PHOTOS, int(0.8 * options.clock.left / (2 * per_photo))))


def count_windows(size: tuple[int, int]) -> int:
    """Return how many windows a photo of this height and width is cut into."""
    settings = WindowSettings()
    shape = resized_shape(*size, short_side=settings.short_sides[0], long_side=settings.long_side)
    return plan_windows(*shape, window=settings.window, stride=settings.stride).count


def _segment(
    place: Path,
    model: str,
    options: Options,
    dtype: torch.dtype,
    images: Path,
    out: str,
    *more: str,
) -> None:
    """Run the command in this process."""
    arguments = (
        *("segment", str(images), "--classes", ", ".join(_NAMES), "--out", str(place / out)),
        *("--model", model, "--templates", "photo", "--no-lht"),
        *("--device", str(options.device), "--dtype", dtype_name(dtype), "--quiet", "--json"),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        code = lhtclip([*arguments, "--overwrite", *more])
    if code:
        raise RuntimeError(f"lhtclip segment ended with exit code {code}.")


@contextlib.contextmanager
def _own_cache(place: Path) -> Generator[None, None, None]:
    """Keep text embeddings of random weights out of the user's cache."""
    name = "LHTCLIP_CACHE"
    old = os.environ.get(name)
    os.environ[name] = str(place / "cache")
    try:
        yield
    finally:
        os.environ.pop(name)
        if old is not None:
            os.environ[name] = old


if __name__ == "__main__":
    main()
