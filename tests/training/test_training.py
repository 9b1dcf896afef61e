import torch
import torch.nn.functional as F

from lhtclip.encoder import DenseEncoder
from tests.training.tiny import CONFIG
from training.model import cut_patches, fresh_clip, image_features, position_rows


def test_features_of_the_full_grid_are_the_towers_own() -> None:
    vision = fresh_clip(CONFIG, seed=0).vision
    pixels = torch.randn(2, 3, 64, 64)
    order = torch.randperm(16)
    patches = cut_patches(pixels, 16)[:, order]
    rows = position_rows(4, (0, 0), (4, 4))[order].expand(2, -1)
    whole, _, _ = image_features(vision, patches, rows)
    torch.testing.assert_close(whole, vision(pixels))


def test_the_other_features_lack_the_last_skip_and_mlp() -> None:
    model = fresh_clip(CONFIG, seed=0)
    vision = model.vision
    pixels = torch.randn(2, 3, 64, 64)
    _, bare, patches = image_features(
        vision, cut_patches(pixels, 16), position_rows(4, (0, 0), (4, 4)).expand(2, -1)
    )
    first, last = vision.blocks
    update = last.attention(last.norm1(first(vision.embed(pixels))))
    torch.testing.assert_close(bare, vision.project(update[:, 0]))
    dense = DenseEncoder(model, method="sclip", residual=False, mlp=False)(pixels)
    torch.testing.assert_close(F.normalize(patches, dim=-1), dense.flatten(1, 2))


def test_a_crop_takes_the_positions_of_its_place() -> None:
    assert position_rows(4, (1, 2), (2, 2)).tolist() == [7, 8, 11, 12]
