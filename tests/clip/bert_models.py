"""Tiny random Chinese-CLIPs and BiomedCLIPs of `transformers`' parts, saved to folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    ViTConfig,
    ViTModel,
)

from lhtclip.clip.bert import biomed
from lhtclip.clip.bert.text import BertConfig as OurBert
from lhtclip.clip.config import VisionConfig
from tests.clip.published import tower

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "photo",
    "of",
    "cat",
    "##s",
    "dog",
    "一",
    "人",
    "猫",
]
DIM = 24
VISION: dict[str, Any] = tower(64, 4) | {"num_hidden_layers": 5}
TEXT: dict[str, Any] = tower(48, 3) | {"vocab_size": len(WORDS), "max_position_embeddings": 40}
TINY_TOWER, TINY_BERT = "vit_base_patch16_224_tiny", "tiny-bert"


def randomise(model: nn.Module) -> None:
    """Give every tensor a spread in which mistakes show."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter += 0.2 * noise


def save_chinese(folder: Path) -> ChineseCLIPModel:
    """Save a Chinese-CLIP with its words, as the hub has them."""
    sides = {"image_size": 32, "patch_size": 8}
    config = ChineseCLIPConfig(text_config=TEXT, vision_config=VISION | sides, projection_dim=DIM)
    model = ChineseCLIPModel(config).eval()
    randomise(model)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return model


class Biomed(nn.Module):
    """The parts of a BiomedCLIP: a ViT, a BERT, and what projects their first tokens."""

    def __init__(self) -> None:
        super().__init__()
        sides: dict[str, Any] = {"image_size": 32, "patch_size": 8, "layer_norm_eps": 1e-6}
        self.vision = ViTModel(ViTConfig(**VISION | sides), add_pooling_layer=False)
        self.text = BertModel(BertConfig(**TEXT), add_pooling_layer=False)
        self.visual_projection = nn.Linear(64, DIM, bias=False)
        self.proj = nn.Sequential(
            nn.Linear(48, 36, bias=False), nn.GELU(), nn.Linear(36, DIM, bias=False)
        )


def save_biomed(folder: Path) -> Biomed:
    """Save a BiomedCLIP in OpenCLIP's layout, of shapes that are made known here."""
    biomed.TOWERS[TINY_TOWER] = VisionConfig(
        64, 256, 5, 4, image_size=32, patch_size=8, hidden_act="gelu", layer_norm_eps=1e-6
    )
    biomed.BERTS[TINY_BERT] = OurBert(**TEXT)
    model = Biomed().eval()
    randomise(model)
    vision = {"timm_model_name": TINY_TOWER, "timm_model_pretrained": False, "image_size": 224}
    text = {"hf_model_name": TINY_BERT, "hf_tokenizer_name": TINY_BERT, "context_length": 30}
    content = {
        "embed_dim": DIM,
        "vision_cfg": vision | {"timm_pool": "", "timm_proj": "linear"},
        "text_cfg": text | {"proj": "mlp", "pooler_type": "cls_last_hidden_state_pooler"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": content}))
    model.vision.save_pretrained(folder / "vit")  # by the names that all versions write
    stored = load_file(folder / "vit" / "model.safetensors")
    save_file(open_clip_names(model, stored), folder / "open_clip_model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return model


# A block's parts by their names in timm and in a stored ViT.
VIT_BLOCK = {
    "norm1": ("layernorm_before",),
    "attn.qkv": tuple(f"attention.attention.{part}" for part in ("query", "key", "value")),
    "attn.proj": ("attention.output.dense",),
    "norm2": ("layernorm_after",),
    "mlp.fc1": ("intermediate.dense",),
    "mlp.fc2": ("output.dense",),
}


def open_clip_names(model: Biomed, t: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the parts' tensors, those of the ViT as stored, as timm and OpenCLIP call them."""
    found = {
        "cls_token": t["embeddings.cls_token"],
        "pos_embed": t["embeddings.position_embeddings"],
        "norm.weight": t["layernorm.weight"],
        "norm.bias": t["layernorm.bias"],
    }
    for kind in ("weight", "bias"):
        found[f"patch_embed.proj.{kind}"] = t[f"embeddings.patch_embeddings.projection.{kind}"]
    for layer in range(VISION["num_hidden_layers"]):
        for kind in ("weight", "bias"):
            for theirs, names in VIT_BLOCK.items():
                parts = [t[f"encoder.layer.{layer}.{name}.{kind}"] for name in names]
                found[f"blocks.{layer}.{theirs}.{kind}"] = torch.cat(parts)
    return {
        "logit_scale": torch.tensor(3.0),
        **{f"visual.trunk.{name}": each.contiguous() for name, each in found.items()},
        "visual.head.proj.weight": model.visual_projection.weight.detach(),
        **{f"text.transformer.{name}": each for name, each in model.text.state_dict().items()},
        **{f"text.proj.{name}": each for name, each in model.proj.state_dict().items()},
    }
