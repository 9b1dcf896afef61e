"""SigLIP's image tower: patch tokens alone, pooled by a learned probe (arXiv 2303.15343)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.pooling import PoolingHead
from lhtclip.clip.positions import BICUBIC, positions_for_grid
from lhtclip.clip.towers import ImageTower, fresh_blocks


class SiglipVisionTower(ImageTower):
    """An image's feature is what a learned probe gathers from the patches by attention.

    There is no class token, no norm before the blocks and no projection: the pooling head outputs
    into the space of the texts, which is as wide as the tower.
    """

    class_tokens = 0

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width)
        self.positions = nn.Parameter(torch.zeros(config.grid_size**2, width))
        self.blocks = fresh_blocks(config)
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.head = PoolingHead(
            width,
            config.num_attention_heads,
            config.intermediate_size,
            activation=config.hidden_act,
            epsilon=config.layer_norm_eps,
        )

    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        """Return the residual stream that enters the first block.

        Grids other than the trained one get positions by `positions_for_grid`, as for CLIP;
        `transformers` omits the 0.1.

        Args:
            pixels: Normalised, (batch, 3, height, width), at least one patch in each direction.
            positions: How positions are resized for grids other than the trained one.

        Returns:
            (batch, rows * columns, width).
        """
        table = positions_for_grid(
            self.positions, self.grid(pixels), class_tokens=self.class_tokens, rule=positions
        )
        return self.patch_tokens(pixels) + table

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and the head's value path: (..., tokens, width) -> (..., tokens, width).

        Each token is pooled as if the image had no other (see `PoolingHead.alone`).
        """
        return self.head.alone(self.final_norm(tokens))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return SigLIP's image features: (batch, width)."""
        x = self.embed(pixels)
        for block in self.blocks:
            x = block(x)
        return self.head(self.final_norm(x))
