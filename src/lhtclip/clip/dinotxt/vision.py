"""dino.txt's image tower: DINOv3 (arXiv 2508.10104), then two blocks trained with texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lhtclip.clip.dinotxt.config import DinoVisionConfig
from lhtclip.clip.layers import Attention, Block, GatedMlp, Mlp
from lhtclip.clip.positions import BICUBIC
from lhtclip.clip.rotary import TurnedAttention, Turns, places_on
from lhtclip.clip.towers import ImageTower, module_list

_BASE = 100.0


class DinoVisionTower(ImageTower):
    """Patches and the texts' second half share a space after the head's norm.

    Only DINOv3's own blocks know where a token is: their queries and keys turn. Its final norm
    closes the last of them.
    """

    def __init__(self, config: DinoVisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.class_tokens = 1 + config.registers
        self.added_blocks = config.head_layers
        self.own_blocks = config.num_hidden_layers - config.head_layers
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width)
        self.class_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.registers = nn.Parameter(torch.zeros(1, config.registers, width))
        self.blocks = module_list(_block(config, n) for n in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def blocks_for(self, grid: tuple[int, int]) -> Sequence[Block]:
        """Return the blocks; DINOv3's have queries and keys turned by places on a grid."""
        weight = self.patch_embedding.weight
        turns = half_turns(
            grid,
            self.blocks[0].attention.head_width,
            before=self.class_tokens,
            like=weight,
        )
        turned = (
            block.with_attention(TurnedAttention(block.attention, turns))
            for block in self.blocks[: self.own_blocks]
        )
        return [*turned, *self.blocks[self.own_blocks :]]

    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        """Return the residual stream that enters the first block.

        Args:
            pixels: Normalised, (batch, 3, height, width), at least one patch in each direction.
            positions: Is not used: no positions are added.

        Returns:
            (batch, 1 + registers + rows * columns, width).
        """
        before = torch.cat([self.class_embedding, self.registers], dim=1)
        return torch.cat([before.expand(pixels.shape[0], -1, -1), self.patch_tokens(pixels)], dim=1)

    def project(self, tokens: Tensor) -> Tensor:
        """Apply the head's norm: (..., tokens, width) -> (..., tokens, width)."""
        return self.final_norm(tokens)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the mean of an image's patches, (batch, width), for the texts' second half."""
        x = self.embed(pixels)
        for block in self.blocks_for(self.grid(pixels)):
            x = block(x)
        return self.project(x[:, self.class_tokens :]).mean(dim=1)


class HalfTurns(Turns):
    """Turns of pairs of channels that lie half a head apart."""

    __slots__ = ()

    def across(self, x: Tensor) -> Tensor:
        """Return each channel's partner in its pair, with the sign that a turn gives it."""
        first, second = x.chunk(2, dim=-1)
        return torch.cat([-second, first], dim=-1)


def half_turns(grid: tuple[int, int], head_width: int, *, before: int, like: Tensor) -> HalfTurns:
    """Return DINOv3's turns: rows and columns from -1 to 1 on every grid, at patch centres.

    Args:
        grid: Rows and columns of patches.
        head_width: Channels of a head, a multiple of 4.
        before: How many tokens that do not turn stand before the patches.
        like: Of the device and dtype of queries and keys.
    """
    places = places_on(grid, like.device, side=2, offset=0.5) - 1
    bands = head_width // 4
    rates = 2 * math.pi * _BASE ** -(torch.arange(bands, device=like.device) / bands)
    angles = (places[..., None] * rates).flatten(1).repeat(1, 2)
    angles = F.pad(angles, (0, 0, before, 0))
    return HalfTurns(angles.cos().to(like.dtype), angles.sin().to(like.dtype))


def _block(config: DinoVisionConfig, number: int) -> Block:
    width = config.hidden_size
    backbone = config.num_hidden_layers - config.head_layers
    mlp = (
        Mlp(width, config.intermediate_size, config.hidden_act, scaled=True)
        if number < backbone
        else GatedMlp(width, config.head_intermediate_size, scaled=True)
    )
    return Block(
        Attention(width, config.num_attention_heads, scaled=True),
        mlp,
        width=width,
        epsilon=config.layer_norm_eps,
        closing=number == backbone - 1,
    )
