"""The image tower against the machine's limit, and against `transformers`' on the same windows.

`python -m benchmarks.tower` encodes batches of 1, 6 and 12 windows in float32 and bfloat16.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.harness import Options, Times, Work, measure, ratio, read_options
from benchmarks.limit import Product, best_rate, products
from benchmarks.materials import checkpoint_of, clip_of
from benchmarks.results import Results, dtype_name, spread
from lhtclip.checkpoints.state_dict import scatter
from lhtclip.clip.model import TRANSFORMERS_CLIP, Clip
from lhtclip.encoder import DenseEncoder
from lhtclip.paper.efficiency import count_multiply_adds

BUDGET = 75.0  # seconds
BATCHES = (1, 6, 12)
SHARE = 0.6  # of the limit, that is to be reached from LEAST windows on
LEAST = 6
OURS, THEIRS = "ours", "transformers"


@torch.inference_mode()
def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, dtypes="float32,bfloat16", given=given)
    results = Results("tower", options)
    for index, dtype in enumerate(options.dtypes):
        budget = options.clock.left / (len(options.dtypes) - index)
        _measure_dtype(dtype, options, results, budget=budget)
    results.save()
    return results


def _measure_dtype(
    dtype: torch.dtype, options: Options, results: Results, *, budget: float
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

    batches = BATCHES[:2] if options.quick else BATCHES
    works: dict[str, Work] = {}
    for batch in batches:
        pixels = window.repeat(batch, 1, 1, 1)
        works[f"{OURS} {batch}"] = partial(encoder, pixels)
        works[f"{THEIRS} {batch}"] = partial(theirs, pixel_values=pixels)
    limits = products(device, model.config.vision)
    works |= {str(product): product.work(dtype, device) for product in limits}
    times = measure(works, budget=budget, device=device)
    results.keep(dtype_name(dtype), times)
    _report(dtype, times, limits, batches, operations, options, results)


def _report(
    dtype: torch.dtype,
    times: dict[str, Times],
    limits: list[Product],
    batches: tuple[int, ...],
    operations: int,
    options: Options,
    results: Results,
) -> None:
    fastest, limit = best_rate({product: times[str(product)] for product in limits})
    rows: list[tuple[str, ...]] = []
    shares: dict[int, float] = {}
    for batch in batches:
        ours, theirs = times[f"{OURS} {batch}"], times[f"{THEIRS} {batch}"]
        shares[batch] = operations * batch / ours.median / limit
        rows.append(
            (
                str(batch),
                spread(ours),
                f"{batch / ours.median:.1f}",
                f"{operations * batch / ours.median / 1e9:.0f}",
                f"{100 * shares[batch]:.0f} %",
                spread(theirs),
                f"{ratio(theirs, ours):.2f}×",
            )
        )
    name = dtype_name(dtype)
    results.table(
        f"{options.model}, {name}: {operations / 1e9:.1f} Gflop a window; "
        f"the limit is {limit / 1e9:.0f} Gflop/s ({fastest})",
        ("windows", "ours", "windows/s", "Gflop/s", "of the limit", THEIRS, "ours is faster by"),
        rows,
    )
    reached = {batch: share for batch, share in shares.items() if batch >= LEAST}
    lowest = min(reached.values())
    results.goal(
        f"tower at batch ≥ {LEAST} windows, {name}",
        f"{100 * SHARE:.0f} % of the measured matmul rate",
        ", ".join(f"{100 * share:.0f} % at {batch}" for batch, share in reached.items()),
        reached=lowest >= SHARE,
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
