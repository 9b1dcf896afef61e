"""A plain vision transformer as timm builds it: no norm before its blocks, patches with a bias."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.layers import Block
from lhtclip.clip.positions import BICUBIC, positions_for_grid
from lhtclip.clip.towers import ImageTower, module_list

# Our names of tensors outside the blocks and theirs, but for those of the projection.
TRUNK: dict[str, str] = {
    "vision.class_embedding": "visual.trunk.cls_token",
    "vision.patch_embedding.weight": "visual.trunk.patch_embed.proj.weight",
    "vision.patch_embedding.bias": "visual.trunk.patch_embed.proj.bias",
    "vision.positions": "visual.trunk.pos_embed",
    "vision.final_norm.weight": "visual.trunk.norm.weight",
    "vision.final_norm.bias": "visual.trunk.norm.bias",
}
TRUNK_BLOCKS = "visual.trunk.blocks."


class TimmVisionTower(ImageTower):
    """An image's feature is that of the class token, normed and projected."""

    class_tokens = 1

    def __init__(
        self, config: VisionConfig, blocks: Iterable[Block], projection_dim: int, *, bias: bool
    ) -> None:
        """Make a tower of these blocks; `bias` is that of the projection."""
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width)
        self.class_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + config.grid_size**2, width))
        self.blocks = module_list(blocks)
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.projection = nn.Linear(width, projection_dim, bias=bias)

    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        """Return the residual stream that enters the first block.

        Args:
            pixels: Normalised, (batch, 3, height, width), at least one patch in each direction.
            positions: How added positions are resized for grids other than the trained one.

        Returns:
            (batch, 1 + rows * columns, width), the class token first.
        """
        patches = self.patch_tokens(pixels)
        class_token = self.class_embedding.expand(patches.shape[0], -1, -1)
        table = positions_for_grid(self.positions[0], self.grid(pixels), rule=positions)
        return torch.cat([class_token, patches], dim=1) + table

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and projection of any tokens: (..., width) -> (..., projection_dim)."""
        return self.projection(self.final_norm(tokens))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the images' features, the projected class token: (batch, projection_dim)."""
        x = self.embed(pixels)
        for block in self.blocks_for(self.grid(pixels)):
            x = block(x)
        return self.project(x[:, 0])
