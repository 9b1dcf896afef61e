import torch
import torch.nn.functional as F

from tests.training.tiny import CONFIG
from training.model import caption_loss, cut_patches, fresh_clip, image_features, position_rows


def test_features_of_the_full_grid_are_the_towers_own() -> None:
    vision = fresh_clip(CONFIG, seed=0).vision
    pixels = torch.randn(2, 3, 64, 64)
    order = torch.randperm(16)
    patches = cut_patches(pixels, 16)[:, order]
    rows = position_rows(4, (0, 0), (4, 4))[order].expand(2, -1)
    whole, _ = image_features(vision, patches, rows)
    torch.testing.assert_close(whole, vision(pixels))


def test_the_second_features_lack_the_last_skip_and_mlp() -> None:
    vision = fresh_clip(CONFIG, seed=0).vision
    pixels = torch.randn(2, 3, 64, 64)
    _, bare = image_features(
        vision, cut_patches(pixels, 16), position_rows(4, (0, 0), (4, 4)).expand(2, -1)
    )
    first, last = vision.blocks
    update = last.attention(last.norm1(first(vision.embed(pixels))))
    torch.testing.assert_close(bare, vision.project(update[:, 0]))


def test_a_crop_takes_the_positions_of_its_place() -> None:
    assert position_rows(4, (1, 2), (2, 2)).tolist() == [7, 8, 11, 12]


def test_the_loss_of_distinct_captions_is_the_cross_entropy() -> None:
    images, texts = (F.normalize(torch.randn(n, 8), dim=-1) for n in (5, 9))
    expected = F.cross_entropy(7.0 * images @ texts.T, torch.arange(5))
    equal = torch.eye(5, 9, dtype=torch.bool)
    torch.testing.assert_close(caption_loss(images, texts, torch.tensor(7.0), equal), expected)


def test_equal_captions_share_the_truth() -> None:
    images = texts = torch.eye(2)
    same = torch.ones(2, 2, dtype=torch.bool)
    apart = caption_loss(images, texts, torch.tensor(3.0), torch.eye(2, dtype=torch.bool))
    swapped = caption_loss(images, texts.flip(0), torch.tensor(3.0), torch.eye(2, dtype=torch.bool))
    together = caption_loss(images, texts, torch.tensor(3.0), same)
    torch.testing.assert_close(together, (apart + swapped) / 2)
