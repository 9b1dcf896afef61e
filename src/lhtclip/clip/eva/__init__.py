"""EVA02-CLIP (arXiv 2303.15389): an EVA-02 image tower and CLIP's text tower."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from lhtclip.clip.config import ClipConfig, PixelConfig
from lhtclip.clip.eva.vision import TOWERS, EvaVisionTower
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.model import read_tokenizer
from lhtclip.clip.open_clip import OPEN_CLIP_TENSORS, timm_clip_config
from lhtclip.clip.text import TextTower
from lhtclip.clip.timm_vision import TRUNK, TRUNK_BLOCKS
from lhtclip.clip.towers import ImageTextModel


@dataclass(frozen=True, slots=True)
class EvaConfig(ClipConfig):
    """Both towers and the width of the space they share."""

    kind: ClassVar[str] = "eva02_clip"
    architecture: ClassVar[str] = "EvaClip"


class EvaClip(ImageTextModel):
    """An EVA02-CLIP: image tower, text tower and the learned temperature."""

    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = EvaVisionTower(config.vision, config.projection_dim)
        self.text = TextTower(config.text, config.projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))  # ln(1 / 0.07)


def build_eva(content: Mapping[str, Any]) -> EvaClip:
    """Make the model that an `open_clip_config.json` describes.

    Raises:
        CheckpointError: It does not describe an EVA02-CLIP that can be read.
    """
    return EvaClip(EvaConfig(*timm_clip_config(content, TOWERS)))


EVA_TENSORS = TensorNames(
    top={
        "logit_scale": "logit_scale",
        **TRUNK,
        "vision.projection.weight": "visual.trunk.head.weight",
        "vision.projection.bias": "visual.trunk.head.bias",
        **{
            ours: f"text.{theirs}"
            for ours, theirs in OPEN_CLIP_TENSORS.top.items()
            if ours.startswith("text.")
        },
    },
    towers={"vision": TRUNK_BLOCKS, "text": "text.transformer.resblocks."},
    block={
        "vision.norm1": ("norm1.{}",),
        "vision.attention.query_projection": ("attn.q_proj.{}",),
        "vision.attention.key_projection": ("attn.k_proj.{}",),
        "vision.attention.value_projection": ("attn.v_proj.{}",),
        "vision.attention.inner_norm": ("attn.norm.{}",),
        "vision.attention.out_projection": ("attn.proj.{}",),
        "vision.norm2": ("norm2.{}",),
        "vision.mlp.gate_and_expand": ("mlp.fc1_g.{}", "mlp.fc1_x.{}"),
        "vision.mlp.inner_norm": ("mlp.norm.{}",),
        "vision.mlp.contract_gated": ("mlp.fc2.{}",),
        **{f"text.{ours}": theirs for ours, theirs in OPEN_CLIP_TENSORS.block.items()},
    },
    transposed=frozenset({"text.projection.weight"}),
    ignored=frozenset({"text.attn_mask"}),
)

EVA = Family(build_eva, read_tokenizer, PixelConfig(), EVA_TENSORS)
