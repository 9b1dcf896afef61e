"""CLIP's two towers together (arXiv 2103.00020), and how its checkpoints are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lhtclip.clip.config import ClipConfig, PixelConfig
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.text import TextTower
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.clip.towers import ImageTextModel
from lhtclip.clip.vision import VisionTower
from lhtclip.errors import CheckpointError


class Clip(ImageTextModel):
    """A CLIP: image tower, text tower and the learned temperature."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config.vision, config.projection_dim)
        self.text = TextTower(config.text, config.projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))  # ln(1 / 0.07)


def build_clip(content: Mapping[str, Any]) -> Clip:
    """Make the model that a `config.json` describes.

    Raises:
        CheckpointError: The file does not describe a CLIP.
    """
    return Clip(ClipConfig.from_json(content))


def read_tokenizer(path: Path, config: ClipConfig, config_file: str) -> Tokenizer:
    """Read the tokenizer of a CLIP.

    Raises:
        CheckpointError: It cannot be read, or ends prompts with another token than the model reads.
    """
    tokenizer = Tokenizer(path, context_length=config.text.max_position_embeddings)
    if not config.text.ends_at_largest and config.text.eos_token_id != tokenizer.end:
        raise CheckpointError(
            f"{path.name} ends prompts with token {tokenizer.end}, but {config_file} has them read "
            f"out at token {config.text.eos_token_id}: the files do not belong together."
        )
    if tokenizer.largest >= config.text.vocab_size:
        raise CheckpointError(
            f"{path.name} has tokens up to {tokenizer.largest}, but the model of {config_file} "
            f"knows {config.text.vocab_size}: the files do not belong together."
        )
    return tokenizer


TRANSFORMERS_CLIP = TensorNames(
    top={
        "logit_scale": "logit_scale",
        "vision.class_embedding": "vision_model.embeddings.class_embedding",
        "vision.patch_embedding.weight": "vision_model.embeddings.patch_embedding.weight",
        "vision.positions": "vision_model.embeddings.position_embedding.weight",
        "vision.pre_norm.weight": "vision_model.pre_layrnorm.weight",
        "vision.pre_norm.bias": "vision_model.pre_layrnorm.bias",
        "vision.final_norm.weight": "vision_model.post_layernorm.weight",
        "vision.final_norm.bias": "vision_model.post_layernorm.bias",
        "vision.projection.weight": "visual_projection.weight",
        "text.token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "text.positions": "text_model.embeddings.position_embedding.weight",
        "text.final_norm.weight": "text_model.final_layer_norm.weight",
        "text.final_norm.bias": "text_model.final_layer_norm.bias",
        "text.projection.weight": "text_projection.weight",
    },
    towers={"vision": "vision_model.encoder.layers.", "text": "text_model.encoder.layers."},
    block={
        "norm1": ("layer_norm1.{}",),
        "attention.in_projection": tuple(f"self_attn.{part}_proj.{{}}" for part in "qkv"),
        "attention.out_projection": ("self_attn.out_proj.{}",),
        "norm2": ("layer_norm2.{}",),
        "mlp.expand": ("mlp.fc1.{}",),
        "mlp.contract": ("mlp.fc2.{}",),
    },
    # In old checkpoints: 0, 1, 2, ...
    ignored=frozenset(f"{tower}_model.embeddings.position_ids" for tower in ("vision", "text")),
)

CLIP = Family(build_clip, read_tokenizer, PixelConfig(), TRANSFORMERS_CLIP)
