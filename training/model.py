"""A new CLIP and its forward pass for training: the package's own towers, with gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lhtclip.clip.config import ClipConfig
from lhtclip.clip.layers import Block, quick_gelu
from lhtclip.clip.model import Clip
from lhtclip.clip.vision import VisionTower


def fresh_clip(config: ClipConfig, *, seed: int) -> Clip:
    """Return a CLIP initialised as in the published code of arXiv 2103.00020."""
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
    """Return the rows of the position table for a crop of the full grid, without the class token.

    Args:
        grid_size: Patches along a side of the full grid.
        corner: Row and column where the crop begins.
        grid: Rows and columns of the crop.
    """
    table = torch.arange(grid_size**2).view(grid_size, grid_size) + 1
    return table[corner[0] : corner[0] + grid[0], corner[1] : corner[1] + grid[1]].flatten()


def cut_patches(pixels: Tensor, side: int) -> Tensor:
    """Cut (batch, 3, height, width) into patches as a tower takes them: (batch, N, 3 side²)."""
    batch, _, height, width = pixels.shape
    patches = pixels.reshape(batch, 3, height // side, side, width // side, side)
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def run_block(block: Block, x: Tensor) -> Tensor:
    """Return the residual stream after a block: (batch, tokens, width) to the same."""
    return _think(block, x + block.attention.merge(_mix(block, *_heads(block, x))))


def image_features(
    vision: VisionTower,
    patches: Tensor,
    rows: Tensor,
    run: Callable[[Block, Tensor], Tensor] = run_block,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return features of the class token, of the bare class token, and of patches.

    Bare means without the last block's residual connection and MLP, which dense methods omit as
    well. Patches attend to similar patches as in SCLIP (arXiv 2312.01597), and are bare too.

    Args:
        vision: The image tower in training.
        patches: normalised, (batch, kept, 3 side²).
        rows: Of the position table, (batch, kept).
        run: `run_block`, possibly compiled.

    Returns:
        Two of (batch, E), one of (batch, kept, E), not normalised.
    """
    x = vision.patch_embedding(patches) + vision.positions[rows]
    first = (vision.class_embedding + vision.positions[0]).expand(len(x), 1, -1)
    x = vision.pre_norm(torch.cat([first, x], dim=1))
    for block in vision.blocks[:-1]:
        x = run(block, x)
    return last_features(vision, x)


def last_features(vision: VisionTower, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the features of `image_features` from the input of the last block."""
    last = vision.blocks[-1]
    queries, keys, values = _heads(last, x)
    update = _mix(last, queries[:, :, :1], keys, values)
    patches = _mix(last, queries[:, :, 1:], queries, values)
    patches = patches + _mix(last, keys[:, :, 1:], keys, values)
    whole = _think(last, x[:, :1] + last.attention.merge(update))
    bare, patches = last.attention.merge(update), last.attention.merge(patches)
    return vision.project(whole[:, 0]), vision.project(bare[:, 0]), vision.project(patches)


def _heads(block: Block, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, each (batch, heads, tokens, head width)."""
    batch, tokens, _ = x.shape
    projected = block.attention.in_projection(block.norm1(x))
    projected = projected.view(batch, tokens, 3, block.attention.heads, -1).permute(2, 0, 3, 1, 4)
    queries, keys, values = projected
    return queries, keys, values


def _mix(block: Block, asking: Tensor, asked: Tensor, values: Tensor) -> Tensor:
    """Plain products: on a CPU the backward pass of fused attention is several times slower."""
    similar = asking @ (asked * block.attention.scale).transpose(-1, -2)
    return similar.softmax(dim=-1) @ values


def _think(block: Block, x: Tensor) -> Tensor:
    mlp, hidden = block.mlp, block.mlp.expand(block.norm2(x))
    if mlp.activation is quick_gelu:  # the same, with half the memory traffic of a backward pass
        return x + mlp.contract(F.silu(1.702 * hidden) / 1.702)
    return x + mlp.contract(mlp.activation(hidden))
