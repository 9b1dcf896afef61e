"""SigLIP (arXiv 2303.15343) and SigLIP 2 (arXiv 2502.14786): how their checkpoints are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lhtclip.clip.config import PixelConfig
from lhtclip.clip.family import Family
from lhtclip.clip.model import TRANSFORMERS_CLIP
from lhtclip.clip.siglip.config import SiglipConfig
from lhtclip.clip.siglip.model import Siglip
from lhtclip.clip.siglip.tokenizer import SiglipTokenizer
from lhtclip.errors import CheckpointError


def build_siglip(content: Mapping[str, Any]) -> Siglip:
    """Make the model that a `config.json` describes.

    Raises:
        CheckpointError: The file does not describe a SigLIP with its pooling head.
    """
    return Siglip(SiglipConfig.from_json(content))


def read_tokenizer(path: Path, config: SiglipConfig, config_file: str) -> SiglipTokenizer:
    """Read the tokenizer of a SigLIP.

    Raises:
        CheckpointError: It cannot be read, or has more tokens than the model.
    """
    tokenizer = SiglipTokenizer(path, context_length=config.text.max_position_embeddings)
    if tokenizer.vocabulary_size > config.text.vocab_size:
        raise CheckpointError(
            f"{path.name} has {tokenizer.vocabulary_size} tokens, but the model of {config_file} "
            "has "
            f"{config.text.vocab_size}: the files do not belong together."
        )
    return tokenizer


TRANSFORMERS_SIGLIP = replace(
    TRANSFORMERS_CLIP,
    top={
        "logit_scale": "logit_scale",
        "logit_bias": "logit_bias",
        "vision.patch_embedding.weight": "vision_model.embeddings.patch_embedding.weight",
        "vision.patch_embedding.bias": "vision_model.embeddings.patch_embedding.bias",
        "vision.positions": "vision_model.embeddings.position_embedding.weight",
        "vision.final_norm.weight": "vision_model.post_layernorm.weight",
        "vision.final_norm.bias": "vision_model.post_layernorm.bias",
        "vision.head.probe": "vision_model.head.probe",
        **{
            f"vision.head.{ours}": f"vision_model.head.{theirs}"
            for ours, theirs in {
                "attention.in_projection.weight": "attention.in_proj_weight",
                "attention.in_projection.bias": "attention.in_proj_bias",
                "attention.out_projection.weight": "attention.out_proj.weight",
                "attention.out_projection.bias": "attention.out_proj.bias",
                "norm.weight": "layernorm.weight",
                "norm.bias": "layernorm.bias",
                "mlp.expand.weight": "mlp.fc1.weight",
                "mlp.expand.bias": "mlp.fc1.bias",
                "mlp.contract.weight": "mlp.fc2.weight",
                "mlp.contract.bias": "mlp.fc2.bias",
            }.items()
        },
        "text.token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "text.positions": "text_model.embeddings.position_embedding.weight",
        "text.final_norm.weight": "text_model.final_layer_norm.weight",
        "text.final_norm.bias": "text_model.final_layer_norm.bias",
        "text.head.weight": "text_model.head.weight",
        "text.head.bias": "text_model.head.bias",
    },
)

SIGLIP = Family(
    build_siglip,
    read_tokenizer,
    PixelConfig((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    TRANSFORMERS_SIGLIP,
)
