"""TIPSv2's image tower: two class tokens, LayerScale, no projection (arXiv 2604.12012)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lhtclip.clip.layers import Attention, Block, GatedMlp, Mlp
from lhtclip.clip.positions import BICUBIC, positions_for_grid
from lhtclip.clip.tips.config import TipsVisionConfig
from lhtclip.clip.towers import ImageTower, module_list

_POSITIONS = "antialiased bilinear"  # as published


class TipsVisionTower(ImageTower):
    """A vision transformer whose tokens are in the space of the texts after the final norm.

    The class token was trained on captions from the web; an image's feature is that one. The
    registers, of which there is one, are class tokens as well: they were trained on captions that
    a model wrote.
    """

    def __init__(self, config: TipsVisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.class_tokens = 1 + config.registers
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width)
        self.class_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.registers = nn.Parameter(torch.zeros(1, config.registers, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + config.grid_size**2, width))
        self.blocks = scaled_blocks(config)
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        """Return the residual stream that enters the first block.

        Registers have no position. Other grids than the trained one get positions as published,
        bilinear and antialiased, whatever `positions` says.

        Args:
            pixels: Levels in [0, 1], (batch, 3, height, width), at least one patch in each
                direction.
            positions: Is not used.

        Returns:
            (batch, 1 + registers + rows * columns, width).
        """
        grid = self.grid(pixels)
        table = positions_for_grid(self.positions[0], grid, rule=_POSITIONS)
        batch = pixels.shape[0]
        return torch.cat(
            [
                (self.class_embedding + table[:1]).expand(batch, -1, -1),
                self.registers.expand(batch, -1, -1),
                self.patch_tokens(pixels) + table[1:],
            ],
            dim=1,
        )

    def project(self, tokens: Tensor) -> Tensor:
        """Apply the final norm: (..., tokens, width) -> (..., tokens, width)."""
        return self.final_norm(tokens)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the images' features, the class token after the final norm: (batch, width)."""
        x = self.embed(pixels)
        for block in self.blocks:
            x = block(x)
        return self.project(x[:, 0])


def scaled_blocks(config: TipsVisionConfig) -> Sequence[Block]:
    """Return blocks with LayerScale, as a module that is a sequence."""
    return module_list(_scaled_block(config) for _ in range(config.num_hidden_layers))


def _scaled_block(config: TipsVisionConfig) -> Block:
    width, hidden_width = config.hidden_size, config.intermediate_size
    mlp = (
        GatedMlp(width, hidden_width, scaled=True)
        if config.gated
        else Mlp(width, hidden_width, config.hidden_act, scaled=True)
    )
    attention = Attention(width, config.num_attention_heads, scaled=True)
    return Block(attention, mlp, width=width, epsilon=config.layer_norm_eps)
