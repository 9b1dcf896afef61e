"""CLIP's image tower: a plain vision transformer (arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.layers import Block
from lhtclip.clip.positions import positions_for_grid


class VisionTower(nn.Module):
    """Pixels in, residual stream out, block by block.

    Whoever needs more than the class token runs the stages alone: `embed`, each of `blocks`,
    `project`.
    """

    def __init__(self, config: VisionConfig, projection_dim: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros(1 + config.grid_size**2, width))
        self.pre_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        blocks = nn.ModuleList(
            Block(
                width,
                config.intermediate_size,
                config.num_attention_heads,
                activation=config.hidden_act,
                epsilon=config.layer_norm_eps,
            )
            for _ in range(config.num_hidden_layers)
        )
        self.blocks = cast("Sequence[Block]", blocks)
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.projection = nn.Linear(width, projection_dim, bias=False)

    def grid(self, pixels: Tensor) -> tuple[int, int]:
        """Return rows and columns of whole patches in (batch, 3, height, width)."""
        height, width = pixels.shape[-2:]
        return height // self.config.patch_size, width // self.config.patch_size

    def patch_tokens(self, pixels: Tensor) -> Tensor:
        """Embed whole patches; pixels beyond the last one are dropped, as by a strided convolution.

        Args:
            pixels: (batch, 3, height, width), at least one patch in each direction.

        Returns:
            (batch, rows * columns, width), row by row.
        """
        rows, columns = self.grid(pixels)
        side = self.config.patch_size
        whole = pixels[..., : rows * side, : columns * side]
        patches = whole.reshape(-1, 3, rows, side, columns, side)
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (B, N, 3 p p)
        return self.patch_embedding(patches)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the residual stream that enters the first block.

        Args:
            pixels: normalised, (batch, 3, height, width), at least one patch in each direction.

        Returns:
            (batch, 1 + rows * columns, width), the class token first.
        """
        return self.with_class_token(
            self.patch_tokens(pixels), positions_for_grid(self.positions, self.grid(pixels))
        )

    def with_class_token(self, patch_tokens: Tensor, positions: Tensor) -> Tensor:
        """Prepend the class token, add positions (1 + patches, width), apply the first norm."""
        class_token = self.class_embedding.expand(len(patch_tokens), 1, -1)
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
