"""A tiny CLIP with random weights that are spread widely enough for every effect to show."""

from __future__ import annotations

import torch
from torch import Tensor

from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig
from lhtclip.clip.model import Clip

PATCH = 8
HEADS = 4
LAYERS = 5


def tiny_clip(*, layers: int = LAYERS, seed: int = 0) -> Clip:
    """Width 64, 4 heads, patches of 8 pixels, trained (as it were) on images of 32 pixels."""
    vision = VisionConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        image_size=32,
        patch_size=PATCH,
    )
    text = TextConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        eos_token_id=63,
    )
    model = Clip(ClipConfig(vision, text, projection_dim=24)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.dim() == 2 and "positions" not in name:
            noise *= 1.5 / tensor.shape[1] ** 0.5
        elif "norm" in name and name.endswith("weight"):
            noise = 1 + 0.3 * noise
        elif name.endswith("bias"):
            noise *= 0.3
        tensor.copy_(noise)
    return model


def tiny_pixels(batch: int = 2, height: int = 32, width: int = 48, *, seed: int = 1) -> Tensor:
    """Return noise in the place of a normalised image."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, height, width, generator=generator)
