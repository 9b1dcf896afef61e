"""EVA02-CLIP's image tower: added positions, and others that turn (arXiv 2303.15389)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.eva.layers import EvaAttention, EvaMlp
from lhtclip.clip.layers import Block
from lhtclip.clip.positions import BICUBIC, positions_for_grid
from lhtclip.clip.rotary import TurnedAttention, places_on, turns_at
from lhtclip.clip.towers import ImageTower, module_list

_TRAINED_SIDE = 16  # patches along a side of the images that the turns were first trained on

# By their names in timm, which OpenCLIP's layout has in place of a shape.
TOWERS: dict[str, VisionConfig] = {
    "eva02_base_patch16_clip_224": VisionConfig(
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=224,
        patch_size=16,
        hidden_act="silu",
        layer_norm_eps=1e-6,
    ),
    "eva02_large_patch14_clip_224": VisionConfig(
        hidden_size=1024,
        intermediate_size=2730,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=224,
        patch_size=14,
        hidden_act="silu",
        layer_norm_eps=1e-6,
    ),
    "eva02_large_patch14_clip_336": VisionConfig(
        hidden_size=1024,
        intermediate_size=2730,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        hidden_act="silu",
        layer_norm_eps=1e-6,
    ),
}


class EvaVisionTower(ImageTower):
    """An image's feature is that of the class token; there is no norm before the blocks."""

    class_tokens = 1

    def __init__(self, config: VisionConfig, projection_dim: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width)
        self.class_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + config.grid_size**2, width))
        self.blocks = module_list(_block(config) for _ in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.projection = nn.Linear(width, projection_dim)

    def blocks_for(self, grid: tuple[int, int]) -> Sequence[Block]:
        """Return the blocks with queries and keys turned by their places on a grid of patches.

        Places are scaled to a side of 16 patches, whatever the grid, as the tower was made for
        larger images.
        """
        weight = self.patch_embedding.weight
        sides = torch.tensor(grid, device=weight.device)
        turns = turns_at(
            places_on(grid, weight.device) * (_TRAINED_SIDE / sides),
            self.blocks[0].attention.head_width,
            before=self.class_tokens,
            dtype=weight.dtype,
        )
        return [
            block.with_attention(TurnedAttention(block.attention, turns)) for block in self.blocks
        ]

    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        """Return the residual stream that enters the first block.

        Args:
            pixels: Normalised, (batch, 3, height, width), at least one patch in each direction.
            positions: How the added positions are resized for grids other than the trained one.

        Returns:
            (batch, 1 + rows * columns, width), the class token first.
        """
        patches = self.patch_tokens(pixels)
        class_token = self.class_embedding.expand(len(patches), -1, -1)
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


def _block(config: VisionConfig) -> Block:
    width, epsilon = config.hidden_size, config.layer_norm_eps
    return Block(
        EvaAttention(width, config.num_attention_heads, epsilon=epsilon),
        EvaMlp(width, config.intermediate_size, epsilon=epsilon),
        width=width,
        epsilon=epsilon,
    )
