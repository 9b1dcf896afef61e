"""OpenAI's way to write a CLIP down: their names for the tensors of `transformers`, and a module.

The module is built of torch's own parts, so that its parameters get their names by themselves; it
is there to be compiled and saved like the published archives.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict

import torch
from torch import Tensor, nn

NAMES = {
    "logit_scale": "logit_scale",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm": "visual.ln_pre",
    "vision_model.post_layernorm": "visual.ln_post",
    "visual_projection.weight": "visual.proj",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "text_projection.weight": "text_projection",
    "vision_model.encoder.layers": "visual.transformer.resblocks",
    "text_model.encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def openai_names(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Write the tensors of a `transformers.CLIPModel` as OpenAI and OpenCLIP write them."""
    ours: dict[str, Tensor] = {}
    for name, tensor in theirs.items():
        part = re.search(r"self_attn\.([qkv])_proj\.(\w+)$", name)
        if part and part[1] != "q":
            continue  # written with the queries
        new = name
        for old, renamed in NAMES.items():
            new = new.replace(old, renamed)
        if part:
            new = new.replace(part[0], f"attn.in_proj_{part[2]}")
            tensor = torch.cat([theirs[name.replace("q_proj", f"{x}_proj")] for x in "qkv"])
        if name.endswith("_projection.weight"):
            tensor = tensor.T
        ours[new] = tensor.clone().contiguous()
    return ours


class QuickGelu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ResidualBlock(nn.Module):
    def __init__(self, width: int, hidden: int, mask: Tensor | None) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 64)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        parts = {"c_fc": nn.Linear(width, hidden), "gelu": QuickGelu()}
        self.mlp = nn.Sequential(OrderedDict(parts | {"c_proj": nn.Linear(hidden, width)}))
        self.attn_mask = mask

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=self.attn_mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width: int, hidden: int, layers: int, mask: Tensor | None = None) -> None:
        super().__init__()
        blocks = (ResidualBlock(width, hidden, mask) for _ in range(layers))
        self.resblocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks(x.permute(1, 0, 2)).permute(1, 0, 2)


class Visual(nn.Module):
    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        width, _, _, patch = weights["visual.conv1.weight"].shape
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = empty_like(weights["visual.positional_embedding"])
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Transformer(width, *depth(weights, "visual.transformer.resblocks."))
        self.proj = empty_like(weights["visual.proj"])

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(patches.shape[0], 1, patches.shape[2])
        x = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        return self.ln_post(self.transformer(x)[:, 0]) @ self.proj


class OpenAiClip(nn.Module):
    """A CLIP of the shape of OpenAI's tensors, with these as weights."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        context, width = weights["positional_embedding"].shape
        vocabulary = len(weights["token_embedding.weight"])
        mask = torch.full((context, context), float("-inf")).triu(1)
        self.visual = Visual(weights)
        self.transformer = Transformer(width, *depth(weights, "transformer.resblocks."), mask)
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = empty_like(weights["positional_embedding"])
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = empty_like(weights["text_projection"])
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.load_state_dict(weights)
        grid = math.isqrt(len(self.visual.positional_embedding) - 1)
        marks = {
            "input_resolution": grid * self.visual.conv1.kernel_size[0],
            "context_length": context,
            "vocab_size": vocabulary,
        }
        for name, value in marks.items():
            self.register_buffer(name, torch.tensor(value))

    def forward(self, pixels: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.transformer(self.token_embedding(token_ids) + self.positional_embedding)
        ends = token_ids.argmax(dim=1)
        prompts = self.ln_final(x)[torch.arange(x.shape[0]), ends] @ self.text_projection
        return self.visual(pixels), prompts


def depth(weights: dict[str, Tensor], prefix: str) -> tuple[int, int]:
    hidden = len(weights[f"{prefix}0.mlp.c_fc.bias"])
    return hidden, sum(name.startswith(prefix) and name.endswith("ln_1.bias") for name in weights)


def empty_like(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(torch.zeros_like(tensor))
