"""A fresh CLIP and its training forward: the package's own towers, with gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lhtclip.clip.config import ClipConfig
from lhtclip.clip.layers import Block
from lhtclip.clip.model import Clip


def fresh_clip(config: ClipConfig, *, seed: int) -> Clip:
    """Return a CLIP initialised as in arXiv 2103.00020's published code."""
    torch.manual_seed(seed)
    model = Clip(config)
    for tower in (model.vision, model.text):
        width, depth = tower.config.hidden_size, tower.config.num_hidden_layers
        for block in tower.blocks:
            assert isinstance(block, Block)
            _normal(block.attention.in_projection, width**-0.5)
            _normal(block.attention.out_projection, width**-0.5 * (2 * depth) ** -0.5)
            _normal(block.mlp.expand, (2 * width) ** -0.5)
            _normal(block.mlp.contract, width**-0.5 * (2 * depth) ** -0.5)
        _normal(tower.projection, width**-0.5)
    width = config.vision.hidden_size
    nn.init.normal_(model.vision.class_embedding, std=width**-0.5)
    nn.init.normal_(model.vision.positions, std=width**-0.5)
    nn.init.normal_(model.text.token_embedding.weight, std=0.02)
    nn.init.normal_(model.text.positions, std=0.01)
    return model


def _normal(layer: nn.Linear, deviation: float) -> None:
    nn.init.normal_(layer.weight, std=deviation)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def position_rows(grid_size: int, corner: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Return the rows of the position table for a crop of the full grid, class token first.

    Args:
        grid_size: Patches along a side of the full grid.
        corner: Row and column where the crop begins.
        grid: Rows and columns of the crop.
    """
    table = torch.arange(grid_size**2).view(grid_size, grid_size) + 1
    crop = table[corner[0] : corner[0] + grid[0], corner[1] : corner[1] + grid[1]]
    return torch.cat([torch.zeros(1, dtype=torch.long), crop.flatten()])


def image_features(model: Clip, pixels: Tensor, rows: Tensor, kept: Tensor) -> Tensor:
    """Return unit-length class-token features of scenes smaller than the full grid.

    Args:
        model: The CLIP in training.
        pixels: normalised, (batch, 3, side, side).
        rows: (1 + patches,) rows of the position table, from `position_rows`.
        kept: The patches that this step sees, as indices.
    """
    vision = model.vision
    positions = vision.positions[torch.cat([rows[:1], rows[1:][kept]])]
    x = vision.with_class_token(vision.patch_tokens(pixels)[:, kept], positions)
    for block in vision.blocks:
        x = block(x)
    return F.normalize(vision.project(x[:, 0]), dim=-1)


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, equal: Tensor) -> Tensor:
    """Return CLIP's symmetric loss in which captions that mention the same things are all right.

    Args:
        images: unit length, (batch, E).
        texts: unit length, (batch, E).
        scale: Positive factor on the cosines.
        equal: bool (batch, batch), symmetric, True on the diagonal.
    """
    logits = scale * images @ texts.T
    targets = equal.float() / equal.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
