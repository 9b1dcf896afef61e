"""OpenCLIP's layout: its configuration, converted to ours, and its names of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lhtclip.clip.config import (
    ClipConfig,
    EndTextConfig,
    PixelConfig,
    TextConfig,
    VisionConfig,
)
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.model import Clip, read_tokenizer
from lhtclip.clip.open_clip_keys import FILE, check_heads, check_plain, read_keys, section_of
from lhtclip.errors import CheckpointError

# OpenAI's own archives use the same names.
OPEN_CLIP_TENSORS = TensorNames(
    top={
        "logit_scale": "logit_scale",
        "vision.class_embedding": "visual.class_embedding",
        "vision.patch_embedding.weight": "visual.conv1.weight",
        "vision.positions": "visual.positional_embedding",
        "vision.pre_norm.weight": "visual.ln_pre.weight",
        "vision.pre_norm.bias": "visual.ln_pre.bias",
        "vision.final_norm.weight": "visual.ln_post.weight",
        "vision.final_norm.bias": "visual.ln_post.bias",
        "vision.projection.weight": "visual.proj",
        "text.token_embedding.weight": "token_embedding.weight",
        "text.positions": "positional_embedding",
        "text.final_norm.weight": "ln_final.weight",
        "text.final_norm.bias": "ln_final.bias",
        "text.projection.weight": "text_projection",
    },
    towers={"vision": "visual.transformer.resblocks.", "text": "transformer.resblocks."},
    block={
        "norm1": ("ln_1.{}",),
        "attention.in_projection": ("attn.in_proj_{}",),
        "attention.out_projection": ("attn.out_proj.{}",),
        "norm2": ("ln_2.{}",),
        "mlp.expand": ("mlp.c_fc.{}",),
        "mlp.contract": ("mlp.c_proj.{}",),
    },
    transposed=frozenset({"vision.projection.weight", "text.projection.weight"}),
    # A mask, and what OpenAI's archives say about their shape.
    ignored=frozenset({"attn_mask", "input_resolution", "context_length", "vocab_size"}),
)


def clip_config(content: Mapping[str, Any]) -> ClipConfig:
    """Read the `model_cfg` of an `open_clip_config.json`.

    Raises:
        CheckpointError: It does not describe a CLIP, or one that is not implemented; names the key.
    """
    sections = _sections(content)
    for name, values in sections.items():
        check_plain(name, values)
    model, vision = (read_keys(name, sections[name]) for name in ("model_cfg", "vision_cfg"))
    check_heads("vision_cfg", vision, "head_width")
    activation = "quick_gelu" if model["quick_gelu"] else "gelu"
    return ClipConfig(
        vision=VisionConfig(
            hidden_size=vision["width"],
            intermediate_size=int(vision["width"] * vision["mlp_ratio"]),
            num_hidden_layers=vision["layers"],
            num_attention_heads=vision["width"] // vision["head_width"],
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            hidden_act=activation,
        ),
        text=_text_config(sections["text_cfg"], activation),
        projection_dim=model["embed_dim"],
    )


def timm_clip_config(
    content: Mapping[str, Any], towers: Mapping[str, VisionConfig]
) -> tuple[VisionConfig, TextConfig, int]:
    """Read the `model_cfg` of a CLIP whose image tower is one of timm's.

    Args:
        content: The content of an `open_clip_config.json`.
        towers: The image towers that can be read, by their names in timm.

    Returns:
        Both towers, and the width of the space that they share.

    Raises:
        CheckpointError: It does not describe such a CLIP, or one that is not implemented.
    """
    sections = _sections(content)
    name = str(sections["vision_cfg"].get("timm_model_name"))
    if name not in towers:
        raise CheckpointError(
            f"{FILE}: vision_cfg.timm_model_name is {name!r}, which is not implemented; of its "
            f"kind {', '.join(towers)} can be read."
        )
    check_plain("model_cfg", {**sections["model_cfg"], "custom_text": False})
    check_plain("text_cfg", sections["text_cfg"])
    model = read_keys("model_cfg", sections["model_cfg"])
    activation = "quick_gelu" if model["quick_gelu"] else "gelu"
    return towers[name], _text_config(sections["text_cfg"], activation), model["embed_dim"]


def _sections(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    model = section_of(content, "model_cfg")
    towers = {name: section_of(model, name) for name in ("vision_cfg", "text_cfg")}
    return {"model_cfg": model, **towers}


def _text_config(values: Mapping[str, Any], activation: str) -> TextConfig:
    text = read_keys("text_cfg", values)
    check_heads("text_cfg", text, "heads")
    if values.get("pool_type") == "eos":
        kind, end = EndTextConfig, text["eos_id"]
    else:
        # OpenCLIP reads a prompt out at its largest id, which works only if the end token is the
        # last of the vocabulary. Said as an id, it can be held against the tokenizer's.
        kind, end = TextConfig, text["vocab_size"] - 1
    return kind(
        vocab_size=text["vocab_size"],
        hidden_size=text["width"],
        intermediate_size=int(text["width"] * text["mlp_ratio"]),
        num_hidden_layers=text["layers"],
        num_attention_heads=text["heads"],
        max_position_embeddings=text["context_length"],
        hidden_act=activation,
        eos_token_id=end,
    )


def build_clip(content: Mapping[str, Any]) -> Clip:
    """Make the model that an `open_clip_config.json` describes.

    Raises:
        CheckpointError: It does not describe a CLIP, or one that is not implemented; names the key.
    """
    return Clip(clip_config(content))


OPEN_CLIP_CLIP = Family(build_clip, read_tokenizer, PixelConfig(), OPEN_CLIP_TENSORS)


def pixel_config(content: Mapping[str, Any]) -> PixelConfig:
    """Read the `preprocess_cfg` of an `open_clip_config.json`; missing settings are CLIP's.

    Raises:
        CheckpointError: A mean or std that is not three numbers.
    """
    values = section_of(content, "preprocess_cfg") if "preprocess_cfg" in content else {}
    pixels = read_keys("preprocess_cfg", values)
    return PixelConfig(mean=tuple(map(float, pixels["mean"])), std=tuple(map(float, pixels["std"])))
