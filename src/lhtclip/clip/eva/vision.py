"""EVA02-CLIP's image tower: added positions, and others that turn (arXiv 2303.15389)."""

from __future__ import annotations

from collections.abc import Sequence

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.eva.layers import EvaAttention, EvaMlp
from lhtclip.clip.layers import Block
from lhtclip.clip.rotary import TurnedAttention, places_on, turns_at
from lhtclip.clip.timm_vision import TimmVisionTower

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


class EvaVisionTower(TimmVisionTower):
    """A tower of timm's whose queries and keys turn by the places of their patches."""

    def __init__(self, config: VisionConfig, projection_dim: int) -> None:
        blocks = (_block(config) for _ in range(config.num_hidden_layers))
        super().__init__(config, blocks, projection_dim, bias=True)

    def blocks_for(self, grid: tuple[int, int]) -> Sequence[Block]:
        """Return the blocks with queries and keys turned by their places on a grid of patches.

        Places are scaled to a side of 16 patches, whatever the grid, as the tower was made for
        larger images.
        """
        weight = self.patch_embedding.weight
        turns = turns_at(
            places_on(grid, weight.device, side=_TRAINED_SIDE),
            self.blocks[0].attention.head_width,
            before=self.class_tokens,
            dtype=weight.dtype,
        )
        return [
            block.with_attention(TurnedAttention(block.attention, turns)) for block in self.blocks
        ]


def _block(config: VisionConfig) -> Block:
    width, epsilon = config.hidden_size, config.layer_norm_eps
    return Block(
        EvaAttention(width, config.num_attention_heads, epsilon=epsilon),
        EvaMlp(width, config.intermediate_size, epsilon=epsilon),
        width=width,
        epsilon=epsilon,
    )
