"""OpenCLIP's layout: its configuration, converted to ours, and its names of tensors."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from lhtclip.checkpoints.layout import OPEN_CLIP
from lhtclip.clip.config import (
    CLIP_MEAN,
    CLIP_STD,
    MOST_LAYERS,
    MOST_WIDE,
    ClipConfig,
    EndTextConfig,
    PixelConfig,
    TextConfig,
    VisionConfig,
)
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.model import Clip, read_tokenizer
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

# The keys that are read, by section, with OpenCLIP's default values; 0 if it has none.
_READ: dict[str, dict[str, Any]] = {
    "model_cfg": {"embed_dim": 0, "quick_gelu": False},
    "vision_cfg": {
        "image_size": 224,
        "layers": 12,
        "width": 768,
        "patch_size": 16,
        "head_width": 64,
        "mlp_ratio": 4.0,
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 512,
        "heads": 8,
        "layers": 12,
        "mlp_ratio": 4.0,
        "eos_id": 2,
    },
    "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD},
}
# Other keys, with the values that leave the network a plain CLIP.
_PLAIN: dict[str, dict[str, tuple[Any, ...]]] = {
    "model_cfg": {
        "custom_text": (False,),
        "init_logit_bias": (None,),
        "nonscalar_logit_scale": (False, True),
    },
    "vision_cfg": {
        "timm_model_name": (None, ""),
        "attentional_pool": (False,),
        "pool_type": ("tok",),
        "final_ln_after_pool": (False,),
        "no_ln_pre": (False,),
        "ls_init_value": (None,),
        "pos_embed_type": ("learnable",),
        "global_average_pool": (False,),
        "input_patchnorm": (False,),
        "act_kwargs": (None, {}),
        "norm_kwargs": (None, {}),
    },
    "text_cfg": {
        "hf_model_name": (None, ""),
        "pool_type": ("argmax", "eos"),
        "final_ln_after_pool": (False,),
        "embed_cls": (False,),
        "no_causal_mask": (False,),
        "ls_init_value": (None,),
        "proj_type": ("linear",),
        "proj_bias": (False,),
        "act_kwargs": (None, {}),
        "norm_kwargs": (None, {}),
        "tokenizer_kwargs": (None, {}),
    },
}
# Keys without effect on encoding: settings of training and of parts that a plain CLIP lacks.
_IDLE: dict[str, frozenset[str]] = {
    "model_cfg": frozenset(
        {"vision_cfg", "text_cfg", "init_logit_scale", "cast_dtype", "output_dict"}
    ),
    "vision_cfg": frozenset(
        {"patch_dropout", "output_tokens", "attn_pooler_queries", "attn_pooler_heads"}
        | {"timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias"}
        | {"timm_drop", "timm_drop_path"}
    ),
    "text_cfg": frozenset(
        {"pad_id", "output_tokens", "hf_tokenizer_name"}
        | {"hf_model_pretrained", "hf_proj_type", "hf_pooler_type"}
    ),
}


def clip_config(content: Mapping[str, Any]) -> ClipConfig:
    """Read the `model_cfg` of an `open_clip_config.json`.

    Raises:
        CheckpointError: It does not describe a CLIP, or one that is not implemented; names the key.
    """
    sections = {"model_cfg": _object(content, "model_cfg")}
    for name in ("vision_cfg", "text_cfg"):
        sections[name] = _object(sections["model_cfg"], name)
    for name, values in sections.items():
        _check_plain(name, values)
    model, vision, text = (_read(name, values) for name, values in sections.items())
    _check_heads("vision_cfg", vision, "head_width")
    _check_heads("text_cfg", text, "heads")
    activation = "quick_gelu" if model["quick_gelu"] else "gelu"
    if sections["text_cfg"].get("pool_type") == "eos":
        kind, end = EndTextConfig, text["eos_id"]
    else:
        # OpenCLIP reads a prompt out at its largest id, which works only if the end token is the
        # last of the vocabulary. Said as an id, it can be held against the tokenizer's.
        kind, end = TextConfig, text["vocab_size"] - 1
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
        text=kind(
            vocab_size=text["vocab_size"],
            hidden_size=text["width"],
            intermediate_size=int(text["width"] * text["mlp_ratio"]),
            num_hidden_layers=text["layers"],
            num_attention_heads=text["heads"],
            max_position_embeddings=text["context_length"],
            hidden_act=activation,
            eos_token_id=end,
        ),
        projection_dim=model["embed_dim"],
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
    values = _object(content, "preprocess_cfg") if "preprocess_cfg" in content else {}
    pixels = _read("preprocess_cfg", values)
    return PixelConfig(mean=tuple(map(float, pixels["mean"])), std=tuple(map(float, pixels["std"])))


def _object(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    values = content.get(key)
    if not isinstance(values, Mapping):
        fault = "missing" if values is None else "not an object"
        raise CheckpointError(
            f"{OPEN_CLIP.config_file} does not describe a CLIP: its {key!r} is {fault}."
        )
    return cast("Mapping[str, Any]", values)


def _check_plain(section: str, values: Mapping[str, Any]) -> None:
    layers = values.get("layers")
    if isinstance(layers, list):  # the stages of a ResNet
        raise _not_implemented(section, "layers", cast("list[Any]", layers))
    for key, value in values.items():
        known = key in _READ[section] or key in _IDLE[section]
        if not known and value not in _PLAIN[section].get(key, ()):
            raise _not_implemented(section, key, value)


def _not_implemented(section: str, key: str, value: Any) -> CheckpointError:
    return CheckpointError(
        f"{OPEN_CLIP.config_file}: {section}.{key} is {value!r}, which is not implemented; "
        "only a CLIP like OpenAI's with a vision transformer can be read."
    )


def _read(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    defaults = _READ[section]
    settings = {key: values.get(key, default) for key, default in defaults.items()}
    for key, value in settings.items():
        wanted, is_valid = _LAYERS if key == "layers" else _KINDS[type(defaults[key])]
        if not is_valid(value):
            most = MOST_LAYERS if key == "layers" else MOST_WIDE
            given: Any = values.get(key)
            limit = f" At most {most} is read." if _is_number(given) and given > most else ""
            raise CheckpointError(
                f"{OPEN_CLIP.config_file}: {section}.{key} should be {wanted}, not "
                f"{reprlib.repr(given)}.{limit}"
            )
    return settings


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_channels(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))


_KINDS: dict[type, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: type(value) is bool),
    int: (
        "a positive whole number",
        lambda value: type(value) is int and 0 < value <= MOST_WIDE,
    ),
    float: ("a positive number", lambda value: _is_number(value) and value > 0),
    tuple: ("three numbers", _are_channels),
}


_LAYERS: tuple[str, Callable[[Any], bool]] = (
    "a positive whole number",
    lambda value: type(value) is int and 0 < value <= MOST_LAYERS,
)


def _check_heads(section: str, settings: Mapping[str, Any], key: str) -> None:
    if settings["width"] % settings[key]:
        raise CheckpointError(
            f"{OPEN_CLIP.config_file}: {section}.width {settings['width']} cannot be divided by "
            f"{section}.{key} {settings[key]}."
        )
