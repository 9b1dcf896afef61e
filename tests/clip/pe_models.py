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
                "width": 128,
                "heads": 2,
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


def meta_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a PE-Core in OpenCLIP's layout by the names of Meta's own files."""
    pool = "visual.trunk.attn_pool"
    found = {
        f"visual.attn_pool.attn.in_proj_{kind}": torch.cat(
            [tensors[f"{pool}.{part}.{kind}"] for part in ("q", "kv")]
        )
        for kind in ("weight", "bias")
    }
    for name, tensor in tensors.items():
        if name.startswith((f"{pool}.q.", f"{pool}.kv.")) or name == "visual.trunk.head.bias":
            continue
        for theirs, metas in _META.items():
            name = name.replace(theirs, metas)
        found[name] = tensor.T if name == "visual.proj" else tensor
    found["visual.positional_embedding"] = found["visual.positional_embedding"][0]
    found["visual.class_embedding"] = found["visual.class_embedding"].flatten()
    return found


_META = {
    "visual.trunk.attn_pool.proj": "visual.attn_pool.attn.out_proj",
    "attn_pool.latent": "attn_pool.probe",
    "attn_pool.norm": "attn_pool.layernorm",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "visual.trunk.blocks": "visual.transformer.resblocks",
    "attn.qkv.": "attn.in_proj_",
    "attn.proj": "attn.out_proj",
    "norm1": "ln_1",
    "norm2": "ln_2",
    "visual.trunk.norm_pre": "visual.ln_pre",
    "visual.trunk.norm": "visual.ln_post",
    "patch_embed.proj": "conv1",
    "cls_token": "class_embedding",
    "pos_embed": "positional_embedding",
    "head.weight": "proj",
    "visual.trunk.": "visual.",
    "text.": "",
}
