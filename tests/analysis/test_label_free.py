"""The one pass over unlabelled pictures: what it sees, what it returns, what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lhtclip.analysis.label_free import (
    MEAN_OF_RANKS,
    RANKINGS,
    mean_of_ranks,
    observe,
    rank_without_labels,
)
from lhtclip.analysis.label_free.observation import heads_before
from lhtclip.analysis.trace import trace
from lhtclip.clip.config import VisionConfig
from lhtclip.clip.siglip.vision import SiglipVisionTower
from lhtclip.errors import InputError, UnknownNameError
from tests.models import HEADS, LAYERS, PATCH, tiny_clip, tiny_pixels

VISION = tiny_clip().vision


def words() -> Tensor:
    """Six that random pictures do show to this tower: embeddings of patches of one."""
    return observe(VISION, tiny_pixels(1, seed=9)).embeddings[0, :6]


@torch.inference_mode()
def test_observation_holds_all_heads_in_order() -> None:
    pixels = tiny_pixels(3, 35, 48)
    seen = observe(VISION, pixels)
    assert seen.grid == (4, 6)
    assert seen.pixels.shape == (3, 3, 32, 48)
    assert seen.features.shape == (len(heads_before(VISION)), 3, 24, 64 // HEADS)
    assert torch.equal(seen.embeddings.norm(dim=-1).round(decimals=4), torch.ones(3, 24))
    place = heads_before(VISION).index((3, 2))
    step = next(step for step in trace(VISION, seen.pixels) if step.layer == 3)
    torch.testing.assert_close(seen.features[place], step.head_features[:, 1])


@torch.inference_mode()
def test_moved_patches_are_back_where_they_came_from() -> None:
    pixels = tiny_pixels(2, 32, 48)  # 4 x 6 patches; one row and two columns are cut
    seen = observe(VISION, pixels)
    assert seen.left.tolist() == [row * 6 + column for row in range(1, 4) for column in range(2, 6)]
    moved = pixels[..., PATCH:, 2 * PATCH :].flip(-1)
    step = next(step for step in trace(VISION, moved) if step.layer == 2)
    features = step.head_features[:, 3].unflatten(1, (3, 4))
    place = heads_before(VISION).index((2, 4))
    back = seen.moved[place].unflatten(1, (3, 4))
    for column in range(4):
        torch.testing.assert_close(back[:, :, column], features[:, :, 3 - column])


def test_every_head_before_the_last_layer_gets_every_score() -> None:
    found = rank_without_labels(VISION, [tiny_pixels(4), tiny_pixels(4, seed=2)], texts=words())
    assert set(found) == {*RANKINGS, MEAN_OF_RANKS}
    heads = {(layer, head) for layer in range(1, LAYERS) for head in range(1, HEADS + 1)}
    for scores in found.values():
        assert set(scores) == heads
        assert torch.tensor(list(scores.values())).isfinite().all()
    singles = {name: found[name] for name in RANKINGS}
    assert found[MEAN_OF_RANKS] == mean_of_ranks(singles)


def test_without_words_all_others_remain_and_agree() -> None:
    batches = [tiny_pixels(4)]
    bare = rank_without_labels(VISION, batches)
    assert set(bare) == {*RANKINGS, MEAN_OF_RANKS} - {"words"}
    alone = rank_without_labels(VISION, batches, rankings=["colours"])
    assert alone == {"colours": bare["colours"]}


def test_batches_count_by_their_windows_and_tiny_ones_not_at_all() -> None:
    first, second, last = tiny_pixels(4), tiny_pixels(8, seed=2), tiny_pixels(2, seed=3)
    done: list[int] = []

    def scores(*batches: Tensor) -> dict[tuple[int, int], float]:
        return rank_without_labels(VISION, batches, rankings=["smoothness"], progress=done.append)[
            "smoothness"
        ]

    one, other, both = scores(first), scores(second), scores(first, second, last)
    assert done == [4, 8, 4, 12, 14]
    for head, value in both.items():
        assert value == pytest.approx((4 * one[head] + 8 * other[head]) / 12)


def test_the_same_pictures_give_the_same_scores() -> None:
    def run() -> dict[str, dict[tuple[int, int], float]]:
        return rank_without_labels(VISION, [tiny_pixels(5)], texts=words())

    assert run() == run()


def test_half_precision_gives_nearly_the_same() -> None:
    pixels = tiny_pixels(4)
    half = tiny_clip().to(torch.bfloat16).vision
    names = ["clusters", "colours", "smoothness"]
    exact = rank_without_labels(VISION, [pixels], rankings=["colours"])["colours"]
    found = rank_without_labels(half, [pixels.to(torch.bfloat16)], texts=words())
    assert set(names) <= set(found)
    for head, value in exact.items():
        assert found["colours"][head] == pytest.approx(value, abs=0.05)


def test_a_tower_without_class_token_is_ranked_too() -> None:
    config = VisionConfig(48, 64, 4, 3, image_size=32, patch_size=PATCH)
    vision = SiglipVisionTower(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in vision.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    found = rank_without_labels(vision, [tiny_pixels(4)])
    assert set(found["clusters"]) == {(layer, head) for layer in (1, 2, 3) for head in (1, 2, 3)}
    assert observe(vision, tiny_pixels(4)).features.shape[2] == 24


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="clusters"):
        rank_without_labels(VISION, [tiny_pixels(4)], rankings=["cluster"])
    with pytest.raises(InputError, match="needs words"):
        rank_without_labels(VISION, [tiny_pixels(4)], rankings=["words"])
    with pytest.raises(InputError, match="nothing to compare in 6 windows"):
        rank_without_labels(VISION, [tiny_pixels(3), tiny_pixels(3)])
    with pytest.raises(InputError, match="nothing to compare in 0 windows"):
        rank_without_labels(VISION, [])
    with pytest.raises(InputError, match="'words' found nothing"):
        rank_without_labels(VISION, [tiny_pixels(4)], texts=words()[:1], rankings=["words"])
