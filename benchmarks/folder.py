"""`lhtclip segment` on a folder of photographs, against the tower alone on the same windows.

`python -m benchmarks.folder` writes JPEGs of the sizes found in data sets, labels them by the
command as it is called from a shell, and counts images a second. Loading the model is not counted:
the time for one photograph is taken off the time for all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import time
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.harness import Options, Times, measure, read_options
from benchmarks.materials import checkpoint_of, clip_of, save_photo, write_tokenizer
from benchmarks.results import Results, dtype_name, duration
from lhtclip.cli import main as lhtclip
from lhtclip.clip.checkpoint import save_checkpoint
from lhtclip.clip.hub import BUNDLED
from lhtclip.clip.layout import TOKENIZER_FILE
from lhtclip.dense import DenseEncoder
from lhtclip.images import resized_shape
from lhtclip.vocabulary import shipped_classes
from lhtclip.windows import WindowSettings, plan_windows

BUDGET = 100.0  # seconds
PHOTOS = 200
SHARE = 0.9  # of the tower's speed
SIZES = ((375, 500), (500, 333), (480, 640), (427, 640), (640, 480), (512, 683), (1200, 1600))
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
    model = model.to(options.device, dtype)
    encoder = DenseEncoder(model, method="sclip")
    side = settings.window or 0
    pixels = torch.randn(settings.batch, 3, side, side).to(options.device, dtype)

    def tower(budget: float) -> Times:
        with torch.inference_mode():
            works = {"tower": partial(encoder, pixels)}
            return measure(works, budget=budget, device=options.device)["tower"]

    run = partial(_segment, place, name, options, dtype)
    first = save_photo(place / "photos" / "one.jpg", *SIZES[0])
    run(first, "warm")
    one = run(first, "one")
    before = tower(0.1 * options.clock.left)
    per_window = before.median / settings.batch
    count = photos or _affordable(per_window, options)
    sizes = [SIZES[index % len(SIZES)] for index in range(count)]
    for index, (height, width) in enumerate(sizes):
        save_photo(place / "photos" / "all" / f"{index:03}.jpg", height, width, seed=index)
    everything = run(place / "photos" / "all", "all")
    labels = run(place / "photos" / "all", "labels", "--format", "labels")
    after = tower(0.5 * options.clock.left)
    results.keep("tower", {"before": before, "after": after})
    _report(sizes, one, everything, labels, (before, after), options, results)


def _report(
    sizes: Sequence[tuple[int, int]],
    one: float,
    everything: float,
    labels: float,
    tower: tuple[Times, Times],
    options: Options,
    results: Results,
) -> None:
    settings = WindowSettings()
    windows = sum(map(count_windows, sizes)) - count_windows(SIZES[0])  # without the first photo
    seconds = (tower[0].median + tower[1].median) / 2
    alone = windows * seconds / settings.batch
    results.numbers["folder"] = {
        "photos": len(sizes),
        "windows": windows,
        "one": one,
        "all": everything,
        "labels": labels,
        "tower": alone,
    }
    photos = len(sizes) - 1
    rows = [
        (title, duration(each), f"{photos / each:.2f}", f"{100 * alone / each:.0f} %")
        for title, each in (
            (f"tower alone, {windows} windows in batches of {settings.batch}", alone),
            ("labels and overlay, as by default", everything - one),
            ("labels only", labels - one),
        )
    ]
    results.table(
        f"{options.model}, {dtype_name(options.fastest)}, {photos} photos beside the first; "
        f"loading and the first photo: {duration(one)}",
        ("", "time", "photos/s", "of the tower's speed"),
        rows,
    )
    share = alone / (everything - one)
    results.goal(
        f"folder of {PHOTOS} photos" + ("" if len(sizes) == PHOTOS else f" ({len(sizes)} here)"),
        f"≥ {100 * SHARE:.0f} % of the speed of the tower alone",
        f"{100 * share:.0f} %; labels only {100 * alone / (labels - one):.0f} %",
        reached=share >= SHARE,
    )


def _affordable(per_window: float, options: Options) -> int:
    """Return how many photos there is time for, run twice and with some time for all else."""
    per_photo = 1.3 * per_window * sum(map(count_windows, SIZES)) / len(SIZES)
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
) -> float:
    """Run the command in this process and return its seconds."""
    arguments = (
        *("segment", str(images), "--classes", ", ".join(_WORDS), "--out", str(place / out)),
        *("--model", model, "--templates", "photo", "--no-lht"),
        *("--device", str(options.device), "--dtype", dtype_name(dtype), "--quiet", "--json"),
    )
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = lhtclip([*arguments, *more])
    seconds = time.perf_counter() - started
    if code:
        raise RuntimeError(f"lhtclip segment ended with exit code {code}.")
    return seconds


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
