"""The one pass over unlabelled images: what it sees, what it returns, what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lhtclip.analysis.label_free import (
    RANKINGS,
    heads_before,
    observe,
    rank_without_labels,
)
from lhtclip.analysis.trace import trace
from lhtclip.clip.config import VisionConfig
from lhtclip.clip.siglip.vision import SiglipVisionTower
from lhtclip.errors import InputError, UnknownNameError
from tests.models import HEADS, LAYERS, PATCH, tiny_clip, tiny_pixels

VISION = tiny_clip().vision


@torch.inference_mode()
def test_observation_holds_all_heads_in_order() -> None:
    pixels = tiny_pixels(3, 32, 48)
    seen = observe(VISION, pixels)
    assert seen.features.shape == (len(heads_before(VISION)), 3, 24, 64 // HEADS)
    assert torch.equal(seen.embeddings.norm(dim=-1).round(decimals=4), torch.ones(3, 24))
    place = heads_before(VISION).index((3, 2))
    step = next(step for step in trace(VISION, pixels) if step.layer == 3)
    torch.testing.assert_close(seen.features[place], step.head_features[:, 1])


@pytest.mark.parametrize("ranking", RANKINGS)
def test_every_head_before_the_last_layer_gets_a_score(ranking: str) -> None:
    batches = [tiny_pixels(4), tiny_pixels(4, seed=2)]
    found = rank_without_labels(VISION, batches, ranking=ranking)
    assert set(found) == {(layer, h) for layer in range(1, LAYERS) for h in range(1, HEADS + 1)}
    assert torch.tensor(list(found.values())).isfinite().all()
    assert rank_without_labels(VISION, batches, ranking=ranking) == found


def test_batches_count_by_their_windows_and_tiny_ones_not_at_all() -> None:
    first, second, last = tiny_pixels(4), tiny_pixels(8, seed=2), tiny_pixels(2, seed=3)

    def scores(*batches: Tensor) -> dict[tuple[int, int], float]:
        return rank_without_labels(VISION, batches)

    one, other, both = scores(first), scores(second), scores(first, second, last)
    for head, value in both.items():
        assert value == pytest.approx((4 * one[head] + 8 * other[head]) / 12)


def test_half_precision_gives_nearly_the_same() -> None:
    pixels = tiny_pixels(4)
    half = tiny_clip().to(torch.bfloat16).vision
    exact, found = (
        rank_without_labels(vision, [pixels.to(dtype)])
        for vision, dtype in ((VISION, torch.float32), (half, torch.bfloat16))
    )
    for head, value in exact.items():
        assert found[head] == pytest.approx(value, abs=0.05)


def test_a_tower_without_class_token_is_ranked_too() -> None:
    config = VisionConfig(48, 64, 4, 3, image_size=32, patch_size=PATCH)
    vision = SiglipVisionTower(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in vision.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    found = rank_without_labels(vision, [tiny_pixels(4)], ranking="clusters")
    assert set(found) == {(layer, head) for layer in (1, 2, 3) for head in (1, 2, 3)}
    assert observe(vision, tiny_pixels(4)).features.shape[2] == 24


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="clusters"):
        rank_without_labels(VISION, [tiny_pixels(4)], ranking="cluster")
    with pytest.raises(InputError, match="nothing to compare in 6 windows"):
        rank_without_labels(VISION, [tiny_pixels(3), tiny_pixels(3)])
    with pytest.raises(InputError, match="nothing to compare in 0 windows"):
        rank_without_labels(VISION, [])
