"""SigLIP's image tower: patch tokens alone, pooled by a learned probe (arXiv 2303.15343)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.layers import Attention, Mlp
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
        self.head = PoolingHead(config)

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


class PoolingHead(nn.Module):
    """Multi-head attention pooling: one learned query, the probe, then an MLP.

    Only the output of this head is in the space of the texts. For each attention head, the probe
    gathers a weighted mean of the patches' values. A single patch would get all the weight, because
    softmax over one key is 1. So `alone` replaces the mean by a token's own value and applies
    output projection and MLP as trained: every patch ends up where the image's feature does; only
        the
    choice among patches is left out.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.probe = nn.Parameter(torch.zeros(1, 1, width))
        self.attention = Attention(width, config.num_attention_heads)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.mlp = Mlp(width, config.intermediate_size, config.hidden_act)

    def alone(self, tokens: Tensor) -> Tensor:
        """Pool every token alone: (..., tokens, width) -> (..., tokens, width)."""
        return self._finish(self.attention.merge(self.attention.values(tokens)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool the tokens of each image: (batch, tokens, width) -> (batch, width)."""
        attention = self.attention
        queries = attention.queries(self.probe.expand(len(tokens), -1, -1))
        mixed = attention.mix(queries, attention.keys(tokens), attention.values(tokens))
        return self._finish(attention.merge(mixed)).squeeze(1)

    def _finish(self, gathered: Tensor) -> Tensor:
        return gathered + self.mlp(self.norm(gathered))
