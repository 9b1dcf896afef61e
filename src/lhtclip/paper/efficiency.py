"""The cost of a method: arithmetic counted operator by operator, parameters, images per second.

Arithmetic is counted while an image runs, so it depends on shapes only. A multiplication with its
addition counts once, which is what tables of this field call a FLOP.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from lhtclip.clip.towers import ImageTextModel
from lhtclip.decoding.decode import decode
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.encoder import DenseEncoder
from lhtclip.image.pixels import resized_shape, to_pixels
from lhtclip.image.windows import WindowSettings, plan_windows
from lhtclip.paper.tables import EFFICIENCY
from lhtclip.techniques.presets import Preset
from lhtclip.text.vocabulary import shipped_classes


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one image.

    Attributes:
        multiply_adds: Of all matrix products and convolutions, in 10⁹.
        parameters: Of the whole model, in 10⁶.
        images_per_second: From the median over repeats.
    """

    multiply_adds: float
    parameters: float
    images_per_second: float


def count_multiply_adds(run: Callable[[], object]) -> int:
    """Count multiplications with their additions in all matrix products of `run`.

    Attention runs in its plain form, because fused kernels hide what they do.
    """
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        run()
    return counter.get_total_flops() // 2


def count_parameters(model: ImageTextModel) -> int:
    """Count the parameters of a model, both towers together."""
    return sum(parameter.numel() for parameter in model.parameters())


def seconds(run: Callable[[], object], *, repeats: int, device: torch.device) -> float:
    """Return the median time of `run`, after one warm-up run."""
    times: list[float] = []
    for _ in range(repeats + 1):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def measure_efficiency(
    model: ImageTextModel, preset: Preset, *, repeats: int = 5
) -> dict[str, Cost]:
    """Measure the rows of the paper's efficiency table on noise of 375 x 500 pixels.

    Arithmetic is that of the image tower, for the windows of one image. Time is from pixels to
    labels of VOC21 with its 56 prompts, whose embeddings exist already.

    Args:
        model: Any weights; those of a tower with abnormal tokens give ATR a little more to do.
        preset: Settings of the techniques.
        repeats: Number of timed images; the median counts.
    """
    costs: dict[str, Cost] = {}
    for row in EFFICIENCY:
        encoder = DenseEncoder(
            model,
            method=row.method,
            lht=preset.select(lht=row.lht),
            residual=False if row.bare else None,
            mlp=False if row.bare else None,
        )
        label, windows = _one_image(encoder)
        with torch.inference_mode():
            costs[row.title] = Cost(
                multiply_adds=count_multiply_adds(partial(encoder, windows)) / 1e9,
                parameters=count_parameters(model) / 1e6,
                images_per_second=1 / seconds(label, repeats=repeats, device=windows.device),
            )
    return costs


def _one_image(encoder: DenseEncoder) -> tuple[Callable[[], object], Tensor]:
    """Return a function that labels an image of noise, and the image's windows."""
    vision = encoder.model.vision
    levels = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    settings = WindowSettings()
    plan = plan_windows(
        *resized_shape(375, 500, short_side=settings.short_sides[0]),
        window=settings.window,
        stride=settings.stride,
    )
    rows = shipped_classes("voc21")
    class_of_query = tuple(index for index, words in enumerate(rows) for _ in words)
    generator = torch.Generator().manual_seed(0)
    texts = torch.randn(
        len(class_of_query), encoder.model.config.projection_dim, generator=generator
    )
    texts = F.normalize(texts, dim=-1).to(vision.device)

    def windows() -> Tensor:
        pixels = to_pixels(
            levels,
            (plan.height, plan.width),
            mean=CLIP_MEAN,
            std=CLIP_STD,
            device=vision.device,
            dtype=vision.dtype,
        )
        return plan.cut(pixels)

    def label() -> object:
        logits = (encoder(windows()) @ texts.T).unflatten(0, (len(plan.tops), len(plan.lefts)))
        return decode(logits, plan, (375, 500), class_of_query, len(rows), DecodeSettings())

    return label, windows()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
