import math

import torch
import torch.nn.functional as F

from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig
from training.model import contrastive_loss, fresh_clip, image_features, position_rows
from training.recipe import Phase, Recipe

CONFIG = ClipConfig(
    vision=VisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
    ),
    text=TextConfig(
        vocab_size=30,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        eos_token_id=1,
    ),
    projection_dim=8,
)


def test_features_of_the_full_grid_are_the_towers_own() -> None:
    model = fresh_clip(CONFIG, seed=0)
    pixels = torch.randn(2, 3, 64, 64)
    features = image_features(model, pixels, position_rows(4, (0, 0), (4, 4)), torch.arange(16))
    torch.testing.assert_close(features, F.normalize(model.vision(pixels), dim=-1))


def test_a_crop_takes_the_positions_of_its_place() -> None:
    assert position_rows(4, (1, 2), (2, 2)).tolist() == [0, 7, 8, 11, 12]


def test_the_loss_of_distinct_captions_is_clips() -> None:
    images, texts = (F.normalize(torch.randn(5, 8), dim=-1) for _ in range(2))
    logits = 7.0 * images @ texts.T
    expected = (
        F.cross_entropy(logits, torch.arange(5)) + F.cross_entropy(logits.T, torch.arange(5))
    ) / 2
    loss = contrastive_loss(images, texts, torch.tensor(7.0), torch.eye(5, dtype=torch.bool))
    torch.testing.assert_close(loss, expected)


def test_equal_captions_share_the_truth() -> None:
    same = torch.ones(2, 2, dtype=torch.bool)
    images = texts = torch.eye(2)
    loss = contrastive_loss(images, texts, torch.tensor(0.0), same)
    assert math.isclose(float(loss), math.log(2), rel_tol=1e-6)


def test_phases_follow_each_other() -> None:
    recipe = Recipe(
        phases=(
            Phase(side=80, objects=(1, 1), sizes=(10, 20), scenes=512),
            Phase(side=112, objects=(1, 2), sizes=(10, 20), scenes=256, batch=128),
        )
    )
    assert recipe.steps == 4
    assert [recipe.phase_at(step).side for step in range(4)] == [80, 80, 112, 112]
