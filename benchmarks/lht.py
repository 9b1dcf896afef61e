"""What LHT-CLIP's three techniques cost: on against off, each alone and all together.

`python -m benchmarks.lht` goes end to end, from levels to labels, and through the tower alone. Off
has the same last block as on: without its residual connection and MLP, as the paper's baseline.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.harness import Options, Times, Work, measure, ratio, read_options
from benchmarks.materials import (
    abnormal_share,
    checkpoint_of,
    label,
    photo,
    preset_of,
    sclip_protocol,
    segmenter_of,
)
from benchmarks.results import Results, dtype_name, spread
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.encoder import DenseEncoder
from lhtclip.image.pixels import resized_shape, to_pixels
from lhtclip.image.windows import WindowSettings, plan_windows
from lhtclip.paper.efficiency import count_multiply_adds
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.settings import LhtSettings

BUDGET = 60.0  # seconds
SHARE = 0.95  # of the speed without, that is to be reached with all three
DATASET, SIZE = "voc21", (375, 500)
OFF, ALL = "off", "ATR+SSR+SHE"


def variants(preset: Preset) -> dict[str, LhtSettings]:
    """Return the settings to compare, `OFF` first; without SHE where no heads are ranked."""
    select = partial(preset.select, lht=False)
    settings = {
        OFF: select(),
        "ATR": select(atr=True),
        "SSR": select(ssr=True),
        "SHE": select(she=bool(preset.she)),
        ALL: preset.select(lht=True),
    }
    return {name: each for name, each in settings.items() if name == OFF or each != settings[OFF]}


@torch.inference_mode()
def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, dtypes="auto", given=given)
    results = Results("lht", options)
    with TemporaryDirectory() as folder:
        for index, dtype in enumerate(options.dtypes):
            budget = options.clock.left / (len(options.dtypes) - index)
            _measure_dtype(dtype, Path(folder), options, results, budget=budget)
    results.save()
    return results


def _measure_dtype(
    dtype: torch.dtype, folder: Path, options: Options, results: Results, *, budget: float
) -> None:
    checkpoint = checkpoint_of(options.model, folder=folder, dtype=dtype, device=options.device)
    protocol = sclip_protocol(DATASET)
    vocabulary, image = protocol.vocabulary(), photo(*SIZE)
    windows = _windows(checkpoint, image)
    works: dict[str, Work] = {}
    added: dict[str, int] = {}
    for name, lht in variants(preset_of(options.model)).items():
        encoder = DenseEncoder(checkpoint.model, lht=lht, residual=False, mlp=False)
        segmenter = segmenter_of(checkpoint, encoder, protocol, vocabulary, folder)
        works[name] = partial(label, segmenter, image, vocabulary)
        works[f"tower {name}"] = partial(encoder, windows)
        added[name] = count_multiply_adds(partial(encoder, windows[:1]))
    times = measure(works, budget=budget, device=options.device)
    results.keep(dtype_name(dtype), times)
    rows = [_row(name, times, added) for name in added]
    height, width = SIZE
    results.table(
        f"{options.model}, {dtype_name(dtype)}, {height} × {width} pixels, "
        f"{len(vocabulary.queries)} queries",
        ("LHT", "end to end", "speed", "tower", "speed", "multiply-adds of the tower"),
        rows,
    )
    speed = 1 / ratio(times[ALL], times[OFF])
    results.goal(
        f"LHT on (ATR+SSR+SHE) against off, end to end, {dtype_name(dtype)}",
        f"{100 * SHARE:.0f} % of the speed (the paper: 59 %)",
        f"{100 * speed:.1f} %",
        reached=speed >= SHARE,
    )
    flagged = abnormal_share(checkpoint, windows)
    results.note(f"{100 * flagged:.1f} % of the patches are abnormal where ATR looks.")


def _windows(checkpoint: Checkpoint, image: NDArray[np.uint8]) -> Tensor:
    table, settings = checkpoint.model.vision.positions, WindowSettings()
    shape = resized_shape(*image.shape[:2], short_side=settings.short_side)
    plan = plan_windows(*shape, window=settings.window, stride=settings.stride)
    levels = checkpoint.pixels
    pixels = to_pixels(
        image,
        shape,
        mean=levels.mean,
        std=levels.std,
        device=table.device,
        dtype=table.dtype,
    )
    return plan.cut(pixels)


def _row(name: str, times: dict[str, Times], added: dict[str, int]) -> tuple[str, ...]:
    tower = f"tower {name}"
    return (
        name,
        spread(times[name]),
        f"{100 / ratio(times[name], times[OFF]):.1f} %",
        spread(times[tower]),
        f"{100 / ratio(times[tower], times[f'tower {OFF}']):.1f} %",
        f"{100 * (added[name] / added[OFF] - 1):+.2f} %",
    )


if __name__ == "__main__":
    main()
