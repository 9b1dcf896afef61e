"""The keys of an `open_clip_config.json`: those that are read, and those that must be plain."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from lhtclip.clip.config import CLIP_MEAN, CLIP_STD, MOST_LAYERS, MOST_WIDE
from lhtclip.errors import CheckpointError

FILE = "open_clip_config.json"

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


def section_of(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object of a key.

    Raises:
        CheckpointError: It is missing or not an object.
    """
    values = content.get(key)
    if not isinstance(values, Mapping):
        fault = "missing" if values is None else "not an object"
        raise CheckpointError(f"{FILE} does not describe a CLIP: its {key!r} is {fault}.")
    return cast("Mapping[str, Any]", values)


def check_plain(section: str, values: Mapping[str, Any]) -> None:
    """Refuse a section with a key that makes another network than a plain CLIP.

    Raises:
        CheckpointError: There is such a key; names it.
    """
    layers = values.get("layers")
    if isinstance(layers, list):  # the stages of a ResNet
        raise _not_implemented(section, "layers", cast("list[Any]", layers))
    for key, value in values.items():
        known = key in _READ[section] or key in _IDLE[section]
        if not known and value not in _PLAIN[section].get(key, ()):
            raise _not_implemented(section, key, value)


def _not_implemented(section: str, key: str, value: Any) -> CheckpointError:
    return CheckpointError(
        f"{FILE}: {section}.{key} is {value!r}, which is not implemented; "
        "only a CLIP like OpenAI's with a vision transformer can be read."
    )


def read_keys(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that are read, with OpenCLIP's default values for missing ones.

    Raises:
        CheckpointError: One is of another type or out of range.
    """
    defaults = _READ[section]
    settings = {key: values.get(key, default) for key, default in defaults.items()}
    for key, value in settings.items():
        wanted, is_valid = _LAYERS if key == "layers" else _KINDS[type(defaults[key])]
        if not is_valid(value):
            most = MOST_LAYERS if key == "layers" else MOST_WIDE
            given: Any = values.get(key)
            limit = f" At most {most} is read." if _is_number(given) and given > most else ""
            raise CheckpointError(
                f"{FILE}: {section}.{key} should be {wanted}, not {reprlib.repr(given)}.{limit}"
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


def check_heads(section: str, settings: Mapping[str, Any], key: str) -> None:
    """Refuse a width that `settings[key]`, a number of heads or their width, does not divide.

    Raises:
        CheckpointError: It does not.
    """
    if settings["width"] % settings[key]:
        raise CheckpointError(
            f"{FILE}: {section}.width {settings['width']} cannot be divided by "
            f"{section}.{key} {settings[key]}."
        )
