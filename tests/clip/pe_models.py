"""A tiny PE-Core with random weights, saved in OpenCLIP's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lhtclip.checkpoints.state_dict import scatter
from lhtclip.clip.pe import PE_CORE, PE_TENSORS
from lhtclip.clip.pe.config import PeVisionConfig
from tests.conftest import build_tokenizer

TINY = PeVisionConfig(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    image_size=32,
    patch_size=8,
)


def open_clip_config(tower: str = "vit_pe_core_nano") -> dict[str, Any]:
    """Return a configuration as OpenCLIP writes it; the tower must be one that is known."""
    return {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {
                "image_size": 32,
                "timm_model_name": tower,
                "timm_model_pretrained": False,
                "timm_pool": "map",
                "timm_proj": None,
            },
            "text_cfg": {
                "context_length": 12,
                "vocab_size": 523,
                "width": 24,
                "heads": 3,
                "layers": 2,
            },
            "custom_text": True,
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    }


def save_pe(directory: Path) -> dict[str, Tensor]:
    """Save the model and a tokenizer, and return the tensors."""
    model = PE_CORE.build(open_clip_config()).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for tensor in model.parameters():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
    tensors = scatter(model, PE_TENSORS)
    save_file(tensors, directory / "open_clip_model.safetensors")
    (directory / "open_clip_config.json").write_text(json.dumps(open_clip_config()))
    build_tokenizer(end_first=False).save(str(directory / "tokenizer.json"))
    return tensors
