"""Perception Encoder, the Core models (arXiv 2504.13181): how their checkpoints are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lhtclip.clip.config import PixelConfig
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.model import read_tokenizer
from lhtclip.clip.open_clip import OPEN_CLIP_TENSORS, timm_clip_config
from lhtclip.clip.pe.config import TOWERS, PeConfig
from lhtclip.clip.pe.model import PeCore


def build_pe(content: Mapping[str, Any]) -> PeCore:
    """Make the model that an `open_clip_config.json` describes.

    Raises:
        CheckpointError: It does not describe a PE-Core that can be read.
    """
    _, text, width = timm_clip_config(content, TOWERS)
    name: str = content["model_cfg"]["vision_cfg"]["timm_model_name"]
    return PeCore(PeConfig(TOWERS[name], text, width))


_TRUNK, _POOL = "visual.trunk", "visual.trunk.attn_pool"
PE_TENSORS = TensorNames(
    top={
        "logit_scale": "logit_scale",
        "vision.class_embedding": f"{_TRUNK}.cls_token",
        "vision.patch_embedding.weight": f"{_TRUNK}.patch_embed.proj.weight",
        "vision.positions": f"{_TRUNK}.pos_embed",
        "vision.pre_norm.weight": f"{_TRUNK}.norm_pre.weight",
        "vision.pre_norm.bias": f"{_TRUNK}.norm_pre.bias",
        "vision.final_norm.weight": f"{_TRUNK}.norm.weight",
        "vision.final_norm.bias": f"{_TRUNK}.norm.bias",
        "vision.projection.weight": f"{_TRUNK}.head.weight",
        "vision.projection.bias": f"{_TRUNK}.head.bias",
        "vision.head.probe": f"{_POOL}.latent",
        **{
            f"vision.head.{ours}.{kind}": tuple(f"{_POOL}.{part}.{kind}" for part in theirs)
            for kind in ("weight", "bias")
            for ours, theirs in {
                "attention.in_projection": ("q", "kv"),
                "attention.out_projection": ("proj",),
                "norm": ("norm",),
                "mlp.expand": ("mlp.fc1",),
                "mlp.contract": ("mlp.fc2",),
            }.items()
        },
        **{
            ours: f"text.{theirs}"
            for ours, theirs in OPEN_CLIP_TENSORS.top.items()
            if ours.startswith("text.")
        },
    },
    towers={"vision": f"{_TRUNK}.blocks.", "text": "text.transformer.resblocks."},
    block={
        "vision.norm1": ("norm1.{}",),
        "vision.attention.in_projection": ("attn.qkv.{}",),
        "vision.attention.out_projection": ("attn.proj.{}",),
        "vision.norm2": ("norm2.{}",),
        "vision.mlp.expand": ("mlp.fc1.{}",),
        "vision.mlp.contract": ("mlp.fc2.{}",),
        **{f"text.{ours}": theirs for ours, theirs in OPEN_CLIP_TENSORS.block.items()},
    },
    transposed=frozenset({"text.projection.weight"}),
    shares={f"vision.head.attention.in_projection.{kind}": (1, 2) for kind in ("weight", "bias")},
    ignored=frozenset({"text.attn_mask"}),
)

PE_CORE = Family(build_pe, read_tokenizer, PixelConfig((0.5,) * 3, (0.5,) * 3), PE_TENSORS)
