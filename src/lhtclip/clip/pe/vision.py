"""PE-Core's image tower: positions are added and turn; a probe pools (arXiv 2504.13181)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lhtclip.clip.layers import Block
from lhtclip.clip.pe.config import POOL_HEADS, POOL_RATIO, PeVisionConfig
from lhtclip.clip.pooling import PoolingHead
from lhtclip.clip.positions import BICUBIC, positions_for_grid
from lhtclip.clip.rotary import TurnedAttention, places_on, turns_at
from lhtclip.clip.towers import ImageTower, fresh_blocks

_POSITIONS = "bilinear"  # as published


class PeVisionTower(ImageTower):
    """An image's feature is what a learned probe gathers from all tokens, projected.

    The class token, which the largest tower does not have, is one of these tokens and has no
    feature of its own.
    """

    def __init__(self, config: PeVisionConfig, projection_dim: int) -> None:
        super().__init__()
        width, epsilon = config.hidden_size, config.layer_norm_eps
        self.config = config
        self.class_tokens = int(config.class_token)
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width, bias=False)
        if config.class_token:
            self.class_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(
            torch.zeros(1, self.class_tokens + config.grid_size**2, width)
        )
        self.pre_norm = nn.LayerNorm(width, eps=epsilon)
        self.blocks = fresh_blocks(config)
        self.final_norm = nn.LayerNorm(width, eps=epsilon)
        self.head = PoolingHead(
            width,
            POOL_HEADS,
            POOL_RATIO * width,
            activation=config.hidden_act,
            epsilon=epsilon,
        )
        self.projection = nn.Linear(width, projection_dim)

    def blocks_for(self, grid: tuple[int, int]) -> Sequence[Block]:
        """Return the blocks with queries and keys turned by their places on a grid of patches.

        Columns turn the first half of a head's channels and rows the second. Places count from 1
        where a class token has place 0, and are the same on every grid.
        """
        weight = self.patch_embedding.weight
        turns = turns_at(
            places_on(grid, weight.device).flip(1) + self.class_tokens,
            self.blocks[0].attention.head_width,
            before=self.class_tokens,
            dtype=weight.dtype,
        )
        return [
            block.with_attention(TurnedAttention(block.attention, turns)) for block in self.blocks
        ]

    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        """Return the residual stream that enters the first block.

        Other grids than the trained one get added positions as published, bilinear, whatever
        `positions` says.

        Args:
            pixels: Normalised, (batch, 3, height, width), at least one patch in each direction.
            positions: Is not used.

        Returns:
            (batch, class tokens + rows * columns, width).
        """
        x = self.patch_tokens(pixels)
        if self.class_tokens:
            x = torch.cat([self.class_embedding.expand(x.shape[0], -1, -1), x], dim=1)
        table = positions_for_grid(
            self.positions[0], self.grid(pixels), class_tokens=self.class_tokens, rule=_POSITIONS
        )
        return self.pre_norm(x + table)

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm, the head's value path and projection: (..., width) -> (..., projection_dim).

        Each token is pooled as if the image had no other (see `PoolingHead.alone`).
        """
        return self.projection(self.head.alone(self.final_norm(tokens)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return PE-Core's image features: (batch, projection_dim)."""
        x = self.embed(pixels)
        for block in self.blocks_for(self.grid(pixels)):
            x = block(x)
        return self.projection(self.head(self.final_norm(x)))
