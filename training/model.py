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
    x, _ = _attend(block, x, x.shape[1])
    return _think(block, x)


def image_features(
    vision: VisionTower,
    patches: Tensor,
    rows: Tensor,
    run: Callable[[Block, Tensor], Tensor] = run_block,
) -> tuple[Tensor, Tensor]:
    """Return class-token features twice: as in CLIP, and without the last block's skip and MLP.

    Dense methods omit these parts as well. Because the second feature contains nothing but the last
    block's values, the values learn to match captions.

    Args:
        vision: The image tower in training.
        patches: normalised, (batch, kept, 3 side²).
        rows: Of the position table, (batch, kept).
        run: `run_block`, possibly compiled.

    Returns:
        Two of (batch, E), not normalised.
    """
    x = vision.patch_embedding(patches) + vision.positions[rows]
    first = (vision.class_embedding + vision.positions[0]).expand(len(x), 1, -1)
    x = vision.pre_norm(torch.cat([first, x], dim=1))
    for block in vision.blocks[:-1]:
        x = run(block, x)
    return last_features(vision, x)


def last_features(vision: VisionTower, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return both features of `image_features` from the input of the last block."""
    last = vision.blocks[-1]
    x, update = _attend(last, x, 1)
    return vision.project(_think(last, x)[:, 0]), vision.project(update[:, 0])


def _attend(block: Block, x: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Return the first tokens after attention, and the update that it added.

    Plain products: on a CPU the backward pass of fused attention is several times slower.
    """
    attention, (batch, _, width) = block.attention, x.shape
    normed = block.norm1(x)
    weight, bias = attention.in_projection.weight, attention.in_projection.bias
    queries, keys, values = (
        F.linear(normed[:, :some], weight[part : part + width], bias[part : part + width])
        .view(batch, some, attention.heads, -1)
        .transpose(1, 2)
        for some, part in ((tokens, 0), (x.shape[1], width), (x.shape[1], 2 * width))
    )
    weights = (queries @ (keys * attention.scale).transpose(-1, -2)).softmax(dim=-1)
    update = attention.merge(weights @ values)
    return x[:, :tokens] + update, update


def _think(block: Block, x: Tensor) -> Tensor:
    mlp, hidden = block.mlp, block.mlp.expand(block.norm2(x))
    if mlp.activation is quick_gelu:  # the same, with half the memory traffic of a backward pass
        return x + mlp.contract(F.silu(1.702 * hidden) / 1.702)
    return x + mlp.contract(mlp.activation(hidden))


def caption_loss(images: Tensor, texts: Tensor, scale: Tensor, equal: Tensor) -> Tensor:
    """Return the cross-entropy of scenes over captions; all that mention the same are correct.

    Args:
        images: unit length, (batch, E).
        texts: unit length, (captions, E).
        scale: Positive factor on the cosines.
        equal: bool (batch, captions), True at least once in a row.
    """
    targets = equal.float() / equal.sum(dim=1, keepdim=True)
    return F.cross_entropy(scale * images @ texts.T, targets)
