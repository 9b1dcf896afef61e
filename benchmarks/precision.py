"""Which precision is faster: the six windows of a 375 × 500 image, LHT off and on.

`python -m benchmarks.precision` is what the choice of `--dtype auto` on CPUs rests on.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.harness import Work, measure, ratio, read_options
from benchmarks.materials import checkpoint_of, preset_of
from benchmarks.results import Results, dtype_name, spread
from lhtclip.checkpoints.device import choose_dtype
from lhtclip.encoder import DenseEncoder

BUDGET = 12.0  # seconds
WINDOWS = 6


@torch.inference_mode()
def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, dtypes="float32,bfloat16", given=given)
    results = Results("precision", options)
    lht = preset_of(options.model).select(lht=True)
    works: dict[str, Work] = {}
    with TemporaryDirectory() as folder:
        for dtype in options.dtypes:
            checkpoint = checkpoint_of(
                options.model, folder=Path(folder), dtype=dtype, device=options.device
            )
            model = checkpoint.model
            side = model.config.vision.image_size
            pixels = torch.randn(WINDOWS, 3, side, side).to(options.device, dtype)
            off = DenseEncoder(model, residual=False, mlp=False)
            works[f"{dtype_name(dtype)}, off"] = partial(off, pixels)
            works[f"{dtype_name(dtype)}, LHT"] = partial(DenseEncoder(model, lht=lht), pixels)
    times = measure(works, budget=options.clock.left, device=options.device)
    results.keep("precision", times)
    baseline = times[f"{dtype_name(options.dtypes[0])}, off"]
    results.table(
        f"{options.model}, {WINDOWS} windows",
        ("", "tower", f"against {dtype_name(options.dtypes[0])}, off"),
        [(name, spread(each), f"{ratio(each, baseline):.2f}×") for name, each in times.items()],
    )
    chosen = dtype_name(choose_dtype("auto", options.device))
    results.note(f"`--dtype auto` is {chosen} here.")
    results.save()
    return results


if __name__ == "__main__":
    main()
