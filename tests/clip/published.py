"""The shapes that CLIPs were published in, two blocks deep, with random weights."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel

END = 522  # the last token of the tests' vocabulary, as it is of CLIP's


def shape(
    image: int,
    patch: int,
    vision: tuple[int, int],
    text: tuple[int, int],
    projection: int,
    **other: int,
) -> dict[str, Any]:
    """Describe a shape by its image and patch side, (width, heads) of both towers and the rest."""
    return {
        "projection_dim": projection,
        "vision_config": tower(*vision) | {"image_size": image, "patch_size": patch} | other,
        "text_config": tower(*text)
        | {"vocab_size": END + 1, "bos_token_id": END - 1, "eos_token_id": END},
    }


def tower(width: int, heads: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": heads,
        "num_hidden_layers": 2,
    }


SHAPES: dict[str, dict[str, Any]] = {
    "B/32": shape(224, 32, (768, 12), (512, 8), 512),
    "B/16": shape(224, 16, (768, 12), (512, 8), 512),
    "L/14": shape(224, 14, (1024, 16), (768, 12), 768),
    "L/14@336": shape(336, 14, (1024, 16), (768, 12), 768),
    "H/14": shape(224, 14, (1280, 16), (1024, 16), 1024),
    "H/14@378": shape(378, 14, (1280, 16), (1024, 16), 1024),
    "g/14": shape(224, 14, (1408, 16), (1024, 16), 1024, intermediate_size=6144),
    "bigG/14": shape(224, 14, (1664, 16), (1280, 20), 1280, intermediate_size=8192),
}


def random_clip(shape: dict[str, Any], *, activation: str = "quick_gelu") -> CLIPModel:
    """Return a model whose weights half precision can hold, spread so that every part shows."""
    towers = {
        name: shape[name] | {"hidden_act": activation} for name in ("vision_config", "text_config")
    }
    with torch.device("meta"):  # their own first weights take longer than the test
        model = CLIPModel(CLIPConfig(**shape | towers))
    model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.uniform_(-(3**0.5), 3**0.5, generator=generator)  # of variance 1
            if parameter.dim() > 1:
                parameter /= parameter[0].numel() ** 0.5
            else:
                parameter *= 0.1
                if "norm" in name and name.endswith("weight"):
                    parameter += 1
            parameter.copy_(parameter.half())
        for buffer in model.buffers():  # position ids
            buffer.copy_(torch.arange(buffer.numel()).view_as(buffer))
    return model.eval()
