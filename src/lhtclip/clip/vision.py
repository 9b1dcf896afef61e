"""CLIP's image tower: a plain vision transformer (arXiv 2103.00020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.positions import BICUBIC, positions_for_grid
from lhtclip.clip.towers import ImageTower, fresh_blocks


class VisionTower(ImageTower):
    """An image's feature is that of the class token, an extra token before the patches."""

    class_tokens = 1

    def __init__(self, config: VisionConfig, projection_dim: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros(1 + config.grid_size**2, width))
        self.pre_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.blocks = fresh_blocks(config)
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.projection = nn.Linear(width, projection_dim, bias=False)

    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        """Return the residual stream that enters the first block.

        Args:
            pixels: Normalised, (batch, 3, height, width), at least one patch in each direction.
            positions: How positions are resized for grids other than the trained one.

        Returns:
            (batch, 1 + rows * columns, width), the class token first.
        """
        return self.with_class_token(
            self.patch_tokens(pixels),
            positions_for_grid(self.positions, self.grid(pixels), rule=positions),
        )

    def with_class_token(self, patch_tokens: Tensor, positions: Tensor) -> Tensor:
        """Prepend the class token, add positions (1 + patches, width), apply the first norm."""
        class_token = self.class_embedding.expand(patch_tokens.shape[0], 1, -1)
        return self.pre_norm(torch.cat([class_token, patch_tokens], dim=1) + positions)

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and projection of any tokens: (..., width) -> (..., projection_dim)."""
        return self.projection(self.final_norm(tokens))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return CLIP's image features, the projected class token: (batch, projection_dim)."""
        x = self.embed(pixels)
        for block in self.blocks:
            x = block(x)
        return self.project(x[:, 0])
