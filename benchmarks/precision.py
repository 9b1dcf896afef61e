"""A ViT-B/16-sized image tower, random weights: float32 and bfloat16, LHT off and on.

`python -m benchmarks.precision` encodes the 6 windows of a 500 × 375 image; prints one JSON line.
"""

from __future__ import annotations

import json
import platform
import statistics
import time

import torch
from torch import Tensor, nn

from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig
from lhtclip.clip.model import Clip
from lhtclip.dense import DenseEncoder
from lhtclip.techniques.presets import PRESETS

WINDOWS, RUNS = 6, 5


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    torch.manual_seed(0)
    config = ClipConfig(VisionConfig(patch_size=16), TextConfig(num_hidden_layers=1))
    model = Clip(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.02)
    preset = PRESETS["openai/clip-vit-base-patch16"]
    seconds: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = model.to(dtype)
        pixels = torch.randn(WINDOWS, 3, 224, 224).to(dtype)
        encoders = {
            "off": DenseEncoder(model, residual=False, mlp=False),
            "lht": DenseEncoder(model, lht=preset.select(lht=True)),
        }
        for name, encoder in encoders.items():
            seconds[f"{str(dtype).removeprefix('torch.')} {name}"] = _median(encoder, pixels)
    print(
        json.dumps(
            {
                "median_seconds": {name: round(value, 3) for name, value in seconds.items()},
                "bfloat16_over_float32": round(seconds["bfloat16 off"] / seconds["float32 off"], 2),
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "machine": platform.machine(),
                "cpu": torch.backends.cpu.get_cpu_capability(),
            }
        )
    )


def _median(encoder: DenseEncoder, pixels: Tensor) -> float:
    encoder(pixels)  # warm-up
    times: list[float] = []
    for _ in range(RUNS):
        started = time.perf_counter()
        encoder(pixels)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
