"""The shape of a model that trains in a moment."""

from __future__ import annotations

from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig

CONFIG = ClipConfig(
    vision=VisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
    ),
    text=TextConfig(
        vocab_size=30,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        eos_token_id=1,
    ),
    projection_dim=8,
)
