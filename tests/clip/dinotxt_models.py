"""Random files of a dino.txt, as published: a DINOv3, and a head with a text tower."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from tests.conftest import build_tokenizer

WIDTH, HEADS, TEXT = 32, 4, 24
CONFIG: dict[str, Any] = {
    "model_type": "dino_txt",
    "vision_config": {
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": HEADS,
        "image_size": 32,
        "patch_size": 8,
        "head_layers": 2,
        "head_intermediate_size": 40,
    },
    "text_config": {
        "vocab_size": 523,
        "hidden_size": TEXT,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 12,
        "eos_token_id": 522,
    },
}


def random_backbone() -> DINOv3ViTModel:
    """Return the DINOv3 of `transformers`."""
    shape = CONFIG["vision_config"] | {"num_hidden_layers": 2, "num_register_tokens": 4}
    model = DINOv3ViTModel(DINOv3ViTConfig(**shape)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for tensor in model.parameters():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
    return model


def published_backbone(model: DINOv3ViTModel) -> dict[str, Tensor]:
    """Return its tensors as the published file has them, with masked biases of keys."""
    theirs = model.state_dict()
    found = {
        "cls_token": theirs["embeddings.cls_token"],
        "storage_tokens": theirs["embeddings.register_tokens"],
        "mask_token": theirs["embeddings.mask_token"][0],
        "patch_embed.proj.weight": theirs["embeddings.patch_embeddings.weight"],
        "patch_embed.proj.bias": theirs["embeddings.patch_embeddings.bias"],
        "rope_embed.periods": torch.ones(2),
        "norm.weight": theirs["norm.weight"],
        "norm.bias": theirs["norm.bias"],
    }
    ones = torch.ones(WIDTH)
    for layer in range(2):
        ours, block = f"blocks.{layer}", f"model.layer.{layer}"
        parts = {name: theirs[f"{block}.attention.{name}_proj.weight"] for name in "qkv"}
        q, v = (theirs[f"{block}.attention.{name}_proj.bias"] for name in "qv")
        found[f"{ours}.attn.qkv.weight"] = torch.cat([parts["q"], parts["k"], parts["v"]])
        found[f"{ours}.attn.qkv.bias"] = torch.cat([q, 7 * ones, v])
        found[f"{ours}.attn.qkv.bias_mask"] = torch.cat([ones, 0 * ones, ones])
        found[f"{ours}.ls1.gamma"] = theirs[f"{block}.layer_scale1.lambda1"]
        found[f"{ours}.ls2.gamma"] = theirs[f"{block}.layer_scale2.lambda1"]
        for kind in ("weight", "bias"):
            found[f"{ours}.attn.proj.{kind}"] = theirs[f"{block}.attention.o_proj.{kind}"]
            found[f"{ours}.norm1.{kind}"] = theirs[f"{block}.norm1.{kind}"]
            found[f"{ours}.norm2.{kind}"] = theirs[f"{block}.norm2.{kind}"]
            found[f"{ours}.mlp.fc1.{kind}"] = theirs[f"{block}.mlp.up_proj.{kind}"]
            found[f"{ours}.mlp.fc2.{kind}"] = theirs[f"{block}.mlp.down_proj.{kind}"]
    return found


def random_head() -> dict[str, Tensor]:
    """Return the tensors of the second file: the head, the text tower, and the temperature."""
    shapes: dict[str, tuple[int, ...]] = {
        "logit_scale": (1,),
        "visual_model.head.ln_final.weight": (WIDTH,),
        "visual_model.head.ln_final.bias": (WIDTH,),
        "text_model.backbone.token_embedding.weight": (523, TEXT),
        "text_model.backbone.positional_embedding": (12, TEXT),
        "text_model.backbone.ln_final.weight": (TEXT,),
        "text_model.backbone.ln_final.bias": (TEXT,),
        "text_model.head.linear_projection.weight": (2 * WIDTH, TEXT),
    }
    for number in range(2):
        block = f"visual_model.head.blocks.{number}"
        shapes |= _linear(f"{block}.attn.proj", WIDTH, WIDTH)
        shapes |= {f"{block}.attn.qkv.weight": (3 * WIDTH, WIDTH)}
        shapes |= {f"{block}.{scale}.gamma": (WIDTH,) for scale in ("ls1", "ls2")}
        shapes |= _norm(f"{block}.norm1", WIDTH) | _norm(f"{block}.norm2", WIDTH)
        shapes |= _linear(f"{block}.mlp.w1", 40, WIDTH) | _linear(f"{block}.mlp.w2", 40, WIDTH)
        shapes |= _linear(f"{block}.mlp.w3", WIDTH, 40)
        block = f"text_model.backbone.blocks.{number}"
        shapes |= {f"{block}.attention.qkv.weight": (3 * TEXT, TEXT)}
        shapes |= _linear(f"{block}.attention.proj", TEXT, TEXT)
        shapes |= _norm(f"{block}.attention_norm", TEXT) | _norm(f"{block}.ffn_norm", TEXT)
        shapes |= _linear(f"{block}.feed_forward.fc1", 48, TEXT)
        shapes |= _linear(f"{block}.feed_forward.fc2", TEXT, 48)
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}


def save_dino_txt(directory: Path) -> tuple[DINOv3ViTModel, dict[str, Tensor]]:
    """Save both files, a configuration and a tokenizer."""
    backbone, head = random_backbone(), random_head()
    torch.save(published_backbone(backbone), directory / "dinov3_vitl16_pretrain.pth")
    torch.save(head, directory / "dinov3_vitl16_dinotxt.pth")
    (directory / "config.json").write_text(json.dumps(CONFIG))
    build_tokenizer(end_first=False).save(str(directory / "tokenizer.json"))
    return backbone, head


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
