"""The configuration of a PE-Core: its published image towers, by their names in timm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lhtclip.clip.config import ClipConfig, VisionConfig

POOL_HEADS = 8
POOL_RATIO = 4  # width of the pooling head's MLP, in widths of the tower


@dataclass(frozen=True, slots=True)
class PeVisionConfig(VisionConfig):
    """Shape of PE-Core's image tower.

    Attributes:
        class_token: Whether a class token stands before the patches.
    """

    hidden_act: str = "gelu"
    class_token: bool = True


@dataclass(frozen=True, slots=True)
class PeConfig(ClipConfig):
    """Both towers of a PE-Core and the width of the space they share."""

    vision: PeVisionConfig
    kind: ClassVar[str] = "pe_core"
    architecture: ClassVar[str] = "PeCore"


TOWERS: dict[str, PeVisionConfig] = {
    "vit_pe_core_tiny_patch16_384": PeVisionConfig(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=12,
        num_attention_heads=3,
        image_size=384,
        patch_size=16,
    ),
    "vit_pe_core_small_patch16_384": PeVisionConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=384,
        patch_size=16,
    ),
    "vit_pe_core_base_patch16_224": PeVisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=224,
        patch_size=16,
    ),
    "vit_pe_core_large_patch14_336": PeVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    ),
    "vit_pe_core_gigantic_patch14_448": PeVisionConfig(
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=50,
        num_attention_heads=16,
        image_size=448,
        patch_size=14,
        class_token=False,
    ),
}
