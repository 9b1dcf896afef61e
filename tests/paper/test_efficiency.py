"""Counted arithmetic against the formula of a vision transformer, and against the paper's count."""

from __future__ import annotations

import pytest
import torch

from lhtclip.clip.model import Clip
from lhtclip.encoder import DenseEncoder
from lhtclip.paper.efficiency import (
    count_multiply_adds,
    count_parameters,
    measure_efficiency,
)
from lhtclip.paper.random_weights import SHAPES
from lhtclip.paper.tables import EFFICIENCY, PARAMETERS
from lhtclip.techniques.presets import PRESETS, preset_by_depth
from tests.models import LAYERS, tiny_clip, tiny_pixels

B16 = PRESETS["openai/clip-vit-base-patch16"]


def test_count_is_the_formulas() -> None:
    model = tiny_clip()
    pixels = tiny_pixels(2, 32, 32)
    width, hidden, tokens, patch_values, embedding = 64, 96, 17, 3 * 64, 24
    block = tokens * width * 3 * width  # queries, keys, values
    block += 2 * tokens * tokens * width  # scores, and values mixed
    block += tokens * width * width  # output projection
    block += 2 * tokens * width * hidden  # MLP
    image = 16 * patch_values * width + LAYERS * block + 16 * width * embedding
    encoder = DenseEncoder(model, method="clip")
    with torch.inference_mode():
        assert count_multiply_adds(lambda: encoder(pixels)) == 2 * image


def vit_b16() -> Clip:
    """A model without data: arithmetic and parameters depend on shapes alone."""
    with torch.device("meta"):
        return Clip(SHAPES["ViT-B-16"])


def test_parameters_are_those_of_the_published_vit_b16() -> None:
    assert count_parameters(vit_b16()) / 1e6 == pytest.approx(PARAMETERS, abs=0.05)


def test_all_rows_are_measured_and_lht_costs_little_more() -> None:
    model = tiny_clip(layers=6)
    costs = measure_efficiency(model, preset_by_depth(6), repeats=1)
    assert list(costs) == [row.title for row in EFFICIENCY]
    baseline, lht = costs["baseline"].multiply_adds, costs["baseline + LHT"].multiply_adds
    assert baseline <= lht < 1.01 * baseline
    assert {cost.parameters for cost in costs.values()} == {count_parameters(model) / 1e6}
    assert all(cost.images_per_second > 0 for cost in costs.values())


def test_vit_b16_costs_what_the_paper_counted() -> None:
    model = vit_b16()
    window = torch.empty(1, 3, 224, 224, device="meta")
    published = {row.title: row.gflops for row in EFFICIENCY}

    def six_windows(**options: object) -> float:
        encoder = DenseEncoder(model, **options)  # pyright: ignore[reportArgumentType]
        with torch.inference_mode():
            return 6 * count_multiply_adds(lambda: encoder(window)) / 1e9

    clip = six_windows(method="clip")
    baseline = six_windows(method="sclip", residual=False, mlp=False)
    lht = six_windows(method="sclip", lht=B16.select(lht=True))
    assert clip == pytest.approx(published["CLIP"], rel=0.005)
    assert baseline == pytest.approx(published["baseline"], rel=0.005)
    assert baseline < lht < 1.02 * baseline
