"""Measure the image tower against the machine's limit, with and without techniques and compilers.

`python -m benchmarks.tower` encodes batches of windows in float32 and bfloat16, with LHT off and
on, and with `transformers`' tower on the same weights. `--compile` adds torch.compile and, on a
GPU, CUDA graphs.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.harness import Options, Times, Work, measure, ratio, read_options
from benchmarks.limit import Product, best_rate, products
from benchmarks.materials import checkpoint_of, clip_of, preset_of
from benchmarks.results import Results, dtype_name, percent, spread
from lhtclip.checkpoints.state_dict import scatter
from lhtclip.clip.config import PixelConfig
from lhtclip.clip.model import TRANSFORMERS_CLIP, Clip
from lhtclip.encoder import DenseEncoder
from lhtclip.engines import run_by
from lhtclip.paper.efficiency import count_multiply_adds

BUDGET = 90.0  # seconds
BATCHES = {"cpu": (1, 6, 12)}  # windows, by device type
BATCHES_ELSEWHERE = (1, 32, 256)
SHARE = {"cpu": 0.6}  # of the limit, the goal at the largest batch
SHARE_ELSEWHERE = 0.5
LHT_SPEED = 0.95  # of the speed without the techniques, the goal
OURS, BASE, LHT, THEIRS = "ours", "no residual, no MLP", "with LHT", "transformers"
COMPILED, GRAPHS = "--engine compile", "CUDA graphs"


@torch.inference_mode()
def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--compile", action="store_true", help="torch.compile too: a minute")

    options, found = read_options(
        __doc__, budget=BUDGET, dtypes="float32,bfloat16", given=given, more=more
    )
    results = Results("tower", options)
    for index, dtype in enumerate(options.dtypes):
        budget = options.clock.left / (len(options.dtypes) - index)
        _measure_dtype(dtype, options, results, budget=budget, compiled=found.compile)
    results.save()
    return results


def _measure_dtype(
    dtype: torch.dtype, options: Options, results: Results, *, budget: float, compiled: bool
) -> None:
    device = options.device
    with TemporaryDirectory() as folder:
        checkpoint = checkpoint_of(options.model, folder=Path(folder), dtype=dtype, device=device)
    model = clip_of(checkpoint)
    encoder, theirs = DenseEncoder(model, method="sclip"), transformers_tower(model)
    side = model.config.vision.image_size
    window = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    window = window.to(device, dtype)
    operations = 2 * count_multiply_adds(partial(encoder, window))

    batches = BATCHES.get(device.type, BATCHES_ELSEWHERE)
    batches = batches[:2] if options.quick else batches
    works: dict[str, Work] = {}
    for batch in batches:
        pixels = window.repeat(batch, 1, 1, 1)
        works[f"{OURS} {batch}"] = partial(encoder, pixels)
        works[f"{THEIRS} {batch}"] = partial(theirs, pixel_values=pixels)
    pixels = window.repeat(batches[-1], 1, 1, 1)
    variants = _variants(encoder, preset_of(options.model).select(lht=True), device, compiled)
    works |= {name: partial(run, pixels) for name, run in variants.items()}
    limits = products(device, model.config.vision, windows=batches[-1])
    works |= {str(product): product.work(dtype, device) for product in limits}
    for name in (COMPILED, GRAPHS):  # compiling isn't measured
        works.get(name, bool)()
    times = measure(works, budget=budget, device=device)
    title = f"{options.model}, {dtype_name(dtype)}"
    _report_limit(title, times, limits, batches, operations, options, results)
    _report_variants(title, times, [OURS, *variants], batches[-1], results)


def _variants(
    encoder: DenseEncoder, lht: Any, device: torch.device, compiled: bool
) -> dict[str, Any]:
    """Return other ways to run the tower: the paper's baseline, with LHT, compiled."""
    variants: dict[str, Any] = {
        BASE: DenseEncoder(encoder.model, method="sclip", residual=False, mlp=False),
        LHT: DenseEncoder(encoder.model, method="sclip", lht=lht),
    }
    if compiled:
        variants[COMPILED] = run_by("compile", encoder, pixels=PixelConfig())
    if compiled and device.type == "cuda":
        variants[GRAPHS] = torch.compile(encoder.__call__, mode="reduce-overhead", dynamic=False)
    return variants


def _report_limit(
    title: str,
    times: dict[str, Times],
    limits: list[Product],
    batches: tuple[int, ...],
    operations: int,
    options: Options,
    results: Results,
) -> None:
    fastest, limit = best_rate({product: times[str(product)] for product in limits})
    rows: list[tuple[str, ...]] = []
    share = rate = 0.0
    for batch in batches:
        ours, theirs = times[f"{OURS} {batch}"], times[f"{THEIRS} {batch}"]
        rate = batch / ours.median
        share = operations * rate / limit
        rows.append(
            (
                str(batch),
                spread(ours),
                f"{rate:.1f}",
                f"{operations * rate / 1e9:.0f}",
                percent(share),
                spread(theirs),
                f"{ratio(theirs, ours):.2f}×",
            )
        )
    results.table(
        f"{title}: {operations / 1e9:.1f} Gflop a window; "
        f"the limit is {limit / 1e9:.0f} Gflop/s ({fastest})",
        ("windows", OURS, "windows/s", "Gflop/s", "of the limit", THEIRS, "ours is faster by"),
        rows,
    )
    goal = SHARE.get(options.device.type, SHARE_ELSEWHERE)
    results.goal(
        f"tower, {batches[-1]} windows, {title}",
        f"≥ {percent(goal)} of the measured matmul rate",
        f"{percent(share)}, {rate:.0f} windows/s",
        reached=share >= goal,
    )


def _report_variants(
    title: str, times: dict[str, Times], names: list[str], batch: int, results: Results
) -> None:
    times = times | {OURS: times[f"{OURS} {batch}"]}
    results.table(
        f"{title}, {batch} windows",
        ("tower", "time", "windows/s", "speed"),
        [
            (
                name,
                spread(times[name]),
                f"{batch / times[name].median:.1f}",
                percent(1 / ratio(times[name], times[OURS])),
            )
            for name in names
        ],
    )
    speed = 1 / ratio(times[LHT], times[BASE])
    results.goal(
        f"tower, LHT on against off, {title}",
        f"≥ {percent(LHT_SPEED)} of the speed (the paper: 59 %)",
        percent(speed),
        reached=speed >= LHT_SPEED,
    )


def transformers_tower(model: Clip) -> Any:
    """Return `transformers`' image tower with the same weights."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    described = model.config.to_json()["vision_config"]
    config = CLIPVisionConfig.from_dict(described | {"attn_implementation": "sdpa"})
    theirs: Any = CLIPVisionModelWithProjection(config)
    weights = {
        name: tensor
        for name, tensor in scatter(model, TRANSFORMERS_CLIP).items()
        if name.startswith(("vision_model.", "visual_projection."))
    }
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    learned = [name for name in missing if not name.endswith("position_ids")]
    if learned or unexpected:
        raise RuntimeError(f"transformers' CLIP has other tensors: {learned}, {unexpected}.")
    table = model.vision.positions
    theirs = theirs.eval().requires_grad_(False)
    return theirs.to(device=table.device, dtype=table.dtype)


if __name__ == "__main__":
    main()
