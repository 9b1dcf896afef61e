"""A CLIP of a published shape with random weights, for what depends on shapes only, such as cost.

Its labels mean nothing.
"""

from __future__ import annotations

import torch

from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig
from lhtclip.clip.model import Clip

SHAPES: dict[str, ClipConfig] = {
    "ViT-B-16": ClipConfig(VisionConfig(patch_size=16), TextConfig(), 512),
    "ViT-L-14": ClipConfig(
        VisionConfig(1024, 4096, 24, 16, 224, 14),
        TextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
        768,
    ),
}


def random_clip(
    shape: str = "ViT-B-16",
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Clip:
    """Return a model of a shape in `SHAPES`, with the same weights every time."""
    model = Clip(SHAPES[shape]).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.named_parameters():
        if "norm" not in name and tensor.ndim > 0:
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.02)
    return model.to(device=device, dtype=dtype)
