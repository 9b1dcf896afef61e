"""`lhtclip segment` on a folder of photographs, against the tower alone on the same windows.

`python -m benchmarks.folder` writes JPEGs of the sizes found in data sets, labels them by the
command as it is called from a shell, and counts images a second. Loading the model is not counted:
in each round the time for one photograph is taken off the time for all.
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

import torch
from torch import Tensor

from benchmarks.harness import Options, Times, Work, measure, read_options
from benchmarks.materials import checkpoint_of, clip_of, save_photo, write_tokenizer
from benchmarks.results import Results, dtype_name, duration
from lhtclip.checkpoints.checkpoint import save_checkpoint
from lhtclip.checkpoints.hub import BUNDLED
from lhtclip.checkpoints.layout import TOKENIZER_FILE
from lhtclip.cli import main as lhtclip
from lhtclip.encoder import DenseEncoder
from lhtclip.image.pixels import resized_shape
from lhtclip.image.windows import WindowSettings, plan_windows
from lhtclip.text.vocabulary import shipped_classes

BUDGET = 90.0  # seconds
PHOTOS = 200
SHARE = 0.9  # of the tower's speed
SIZES = ((375, 500), (500, 333), (480, 640), (427, 640), (640, 480), (512, 683), (1200, 1600))
TOWER, ONE = "tower", "one"
ALL, LABELS = "labels and overlay, as by default", "labels only"
_WORDS = [words[0] for words in shipped_classes("voc20")]


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
    dtype, settings = options.fastest, WindowSettings()
    checkpoint = checkpoint_of(
        options.model, folder=place, dtype=torch.float32, device=torch.device("cpu")
    )
    model = clip_of(checkpoint)
    name = options.model
    if name != BUNDLED:
        name = str(place / "model")
        save_checkpoint(model, Path(name), dtype=torch.float32)
        write_tokenizer(Path(name, TOKENIZER_FILE), end=model.config.text.eos_token_id)
    encoder = DenseEncoder(model.to(options.device, dtype), method="sclip")
    side = settings.window or 0
    batch = settings.at_once(options.device.type)
    pixels = torch.randn(batch, 3, side, side).to(options.device, dtype)

    first = save_photo(place / "photos" / "one.jpg", *SIZES[0])
    run = partial(_segment, place, name, options, dtype)
    run(first, "warm")
    started = time.perf_counter()
    _encode(encoder, pixels, batch)
    per_window = (time.perf_counter() - started) / batch
    count = photos or _affordable(per_window, options)
    sizes = [SIZES[index % len(SIZES)] for index in range(count)]
    folder = place / "photos" / "all"
    for index, (height, width) in enumerate(sizes):
        save_photo(folder / f"{index:03}.jpg", height, width, seed=index)
    windows = sum(map(count_windows, sizes)) - count_windows(SIZES[0])  # without the first photo
    works: dict[str, Work] = {
        TOWER: partial(_encode, encoder, pixels, windows),
        ONE: partial(run, first, "one"),
        ALL: partial(run, folder, "all"),
        LABELS: partial(run, folder, "labels", "--format", "labels"),
    }
    times = measure(works, budget=options.clock.left, device=options.device)
    results.keep("folder", times)
    _report(sizes, windows, times, options, results)


@torch.inference_mode()
def _encode(encoder: DenseEncoder, pixels: Tensor, windows: int) -> None:
    """Encode so many windows, in batches as large as `pixels` and a rest."""
    for done in range(0, windows, len(pixels)):
        encoder(pixels[: windows - done])


def _report(
    sizes: Sequence[tuple[int, int]],
    windows: int,
    times: Mapping[str, Times],
    options: Options,
    results: Results,
) -> None:
    photos = len(sizes) - 1
    rounds = range(len(times[TOWER].seconds))
    own = {
        TOWER: list(times[TOWER].seconds),
        **{
            name: [times[name].seconds[i] - times[ONE].seconds[i] for i in rounds]
            for name in (ALL, LABELS)
        },
    }
    shares = {
        name: statistics.median(own[TOWER][i] / seconds[i] for i in rounds)
        for name, seconds in own.items()
    }
    batch = WindowSettings().at_once(options.device.type)
    titles = {TOWER: f"tower alone, {windows} windows in batches of {batch}"}
    rows = [
        (
            titles.get(name, name),
            duration(statistics.median(seconds)),
            f"{photos / statistics.median(seconds):.2f}",
            f"{100 * shares[name]:.0f} %",
        )
        for name, seconds in own.items()
    ]
    results.table(
        f"{options.model}, {dtype_name(options.fastest)}, {photos} photos beside the first; "
        f"loading and the first photo: {duration(times[ONE].median)}",
        ("", "time", "photos/s", "of the tower's speed"),
        rows,
    )
    results.goal(
        f"folder of {PHOTOS} photos" + ("" if len(sizes) == PHOTOS else f" ({len(sizes)} here)"),
        f"≥ {100 * SHARE:.0f} % of the speed of the tower alone",
        f"{100 * shares[ALL]:.0f} %; labels only {100 * shares[LABELS]:.0f} %",
        reached=shares[ALL] >= SHARE,
    )


def _affordable(per_window: float, options: Options) -> int:
    """Return how many photos there is time for: a tower and two runs, twice, and all else."""
    per_photo = 3.3 * per_window * sum(map(count_windows, SIZES)) / len(SIZES)
    return max(len(SIZES), min(PHOTOS, int(0.8 * options.clock.left / (2 * per_photo))))


def count_windows(size: tuple[int, int]) -> int:
    """Return how many windows a photo of this height and width is cut into."""
    settings = WindowSettings()
    shape = resized_shape(*size, short_side=settings.short_side, long_side=settings.long_side)
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
        *("segment", str(images), "--classes", ", ".join(_WORDS), "--out", str(place / out)),
        *("--model", model, "--templates", "photo", "--no-lht"),
        *("--device", str(options.device), "--dtype", dtype_name(dtype), "--quiet", "--json"),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        code = lhtclip([*arguments, "--overwrite", *more])
    if code:
        raise RuntimeError(f"lhtclip segment ended with exit code {code}.")


@contextlib.contextmanager
def _own_cache(place: Path) -> Generator[None, None, None]:
    """Keep texts of random weights out of the user's cache."""
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
