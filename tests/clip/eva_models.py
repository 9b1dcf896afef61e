"""Tiny random EVA02-CLIPs in OpenCLIP's layout, by timm's names of their tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPModel

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.eva.vision import TOWERS
from tests.clip.openai_clip import openai_names
from tests.clip.published import random_clip, tower
from tests.conftest import build_tokenizer

HEADS, WIDTH, HIDDEN, LAYERS, SIDE, PATCH, E = 4, 64, 40, 5, 32, 8, 24
TINY = "eva02_tiny"
TINY_TOWER = VisionConfig(
    hidden_size=WIDTH,
    intermediate_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    image_size=SIDE,
    patch_size=PATCH,
    hidden_act="silu",
    layer_norm_eps=1e-6,
)
TEXT: dict[str, Any] = tower(48, 3) | {"vocab_size": 523, "bos_token_id": 521, "eos_token_id": 522}


def open_clip_config(name: str, *, dim: int, text: dict[str, Any]) -> dict[str, Any]:
    vision = {"timm_model_name": name, "timm_model_pretrained": False, "timm_pool": "token"}
    model = {"embed_dim": dim, "vision_cfg": vision | {"timm_proj": None}, "custom_text": True}
    return {"model_cfg": model | {"text_cfg": {"context_length": 77} | text}}


def random_weights() -> dict[str, Tensor]:
    """Weights by timm's and OpenCLIP's names, spread widely enough for every part to show."""
    generator = torch.Generator().manual_seed(0)

    def weights(*shape: int, around: float = 0.0, spread: float | None = None) -> Tensor:
        usual = shape[-1] ** -0.5 if len(shape) > 1 else 0.3
        return around + (spread or usual) * torch.randn(shape, generator=generator)

    def norm(name: str, width: int) -> dict[str, Tensor]:
        return {f"{name}.weight": weights(width, around=1.0), f"{name}.bias": weights(width)}

    def linear(name: str, rows: int, columns: int) -> dict[str, Tensor]:
        return {f"{name}.weight": weights(rows, columns), f"{name}.bias": weights(rows)}

    found = {
        "cls_token": weights(1, 1, WIDTH),
        "pos_embed": weights(1, 1 + (SIDE // PATCH) ** 2, WIDTH, spread=0.5),
        "patch_embed.proj.weight": weights(WIDTH, 3, PATCH, PATCH, spread=0.1),
        "patch_embed.proj.bias": weights(WIDTH),
        **norm("norm", WIDTH),
        **linear("head", E, WIDTH),
    }
    for layer in range(LAYERS):
        at = f"blocks.{layer}"
        found |= norm(f"{at}.norm1", WIDTH) | norm(f"{at}.norm2", WIDTH)
        found |= norm(f"{at}.attn.norm", WIDTH) | norm(f"{at}.mlp.norm", HIDDEN)
        for part in ("q_proj", "k_proj", "v_proj", "proj"):
            found |= linear(f"{at}.attn.{part}", WIDTH, WIDTH)
        del found[f"{at}.attn.k_proj.bias"]
        found |= linear(f"{at}.mlp.fc1_g", HIDDEN, WIDTH) | linear(f"{at}.mlp.fc1_x", HIDDEN, WIDTH)
        found |= linear(f"{at}.mlp.fc2", WIDTH, HIDDEN)
    return {f"visual.trunk.{name}": each for name, each in found.items()}


def random_text() -> CLIPModel:
    """Return a CLIP whose text tower those of EVA02-CLIPs share here."""
    vision = tower(16, 2)
    shape = {"projection_dim": E, "vision_config": vision, "text_config": TEXT}
    return random_clip(shape, activation="gelu")


def save_eva(folder: Path) -> dict[str, Tensor]:
    """Save an EVA02-CLIP of a shape that is made known here, and return its tensors."""
    TOWERS[TINY] = TINY_TOWER
    text = {
        f"text.{name}": each
        for name, each in openai_names(random_text().state_dict()).items()
        if not name.startswith("visual.") and name != "logit_scale"
    }
    tensors = random_weights() | text | {"logit_scale": torch.tensor(3.0)}
    content = open_clip_config(
        TINY, dim=E, text={"vocab_size": 523, "width": 48, "heads": 3, "layers": 2}
    )
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    save_file(tensors, folder / "open_clip_model.safetensors")
    build_tokenizer(end_first=False).save(str(folder / "tokenizer.json"))
    return tensors
