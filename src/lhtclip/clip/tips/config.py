"""The configuration of a TIPSv2, from a `config.json` of `transformers` or of its authors."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lhtclip.clip.config import MOST_WIDE, PromptConfig, VisionConfig, read_section, section
from lhtclip.errors import CheckpointError, is_number

_MOST_REGISTERS = 1000
_TEMPERATURE = 0.005065968260169029  # of the published models


@dataclass(frozen=True, slots=True)
class TipsVisionConfig(VisionConfig):
    """Shape of TIPSv2's image tower; `intermediate_size` follows from the rest.

    Attributes:
        mlp_ratio: Width of a plain MLP, in widths of the tower.
        registers: Tokens between the class token and the patches.
        gated: Whether MLPs are SwiGLUs, two thirds as wide as plain ones.
    """

    image_size: int = 448
    patch_size: int = 14
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    mlp_ratio: float = 4.0
    registers: int = 1
    gated: bool = False


@dataclass(frozen=True, slots=True)
class TipsTextConfig(PromptConfig):
    """Shape of TIPSv2's text tower.

    Attributes:
        scaled: Whether token embeddings are multiplied by the root of the width.
    """

    vocab_size: int = 32000
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_attention_heads: int = 12
    max_position_embeddings: int = 64
    hidden_act: str = "relu"
    scaled: bool = True


@dataclass(frozen=True, slots=True)
class TipsConfig:
    """Both towers of a TIPSv2, equally wide, and the temperature of its logits."""

    vision: TipsVisionConfig
    text: TipsTextConfig
    temperature: float = _TEMPERATURE

    @property
    def projection_dim(self) -> int:
        """Width of the space that both towers share."""
        return self.vision.hidden_size

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TipsConfig:
        """Read the content of a `config.json`.

        Raises:
            CheckpointError: The file does not describe a TIPSv2.
        """
        if "vision_fn" in content:
            content = _nested(content)
        vision = _vision(content)
        text = read_section(content, "text_config", TipsTextConfig())
        scaled = section(content, "text_config").get("scale_sqrt_depth", True)
        text = replace(text, scaled=_flag(scaled, "text_config.scale_sqrt_depth"))
        if text.hidden_size != vision.hidden_size:
            raise CheckpointError(
                f"config.json: text features of width {text.hidden_size} "
                "(text_config.hidden_size) cannot be compared with image features of width "
                f"{vision.hidden_size} (vision_config.hidden_size)."
            )
        temperature = content.get("temperature_init_value", _TEMPERATURE)
        return cls(vision, text, _above_zero(temperature, "temperature_init_value"))

    def to_json(self) -> dict[str, Any]:
        """Return the content of an equivalent `config.json` of `transformers`."""
        vision, text = asdict(self.vision), asdict(self.text)
        del vision["intermediate_size"]
        vision["num_register_tokens"] = vision.pop("registers")
        vision["use_swiglu_ffn"] = vision.pop("gated")
        text["scale_sqrt_depth"] = text.pop("scaled")
        return {
            "architectures": ["Tipsv2Model"],
            "model_type": "tipsv2",
            "temperature_init_value": self.temperature,
            "vision_config": vision | {"model_type": "tipsv2_vision_model"},
            "text_config": text | {"model_type": "tipsv2_text_model"},
        }


def _vision(content: Mapping[str, Any]) -> TipsVisionConfig:
    given = section(content, "vision_config")
    shape = read_section(content, "vision_config", TipsVisionConfig())
    gated = _flag(given.get("use_swiglu_ffn", False), "vision_config.use_swiglu_ffn")
    if not _flag(given.get("qkv_bias", True), "vision_config.qkv_bias"):
        raise CheckpointError(
            "config.json: vision_config.qkv_bias is False; only a TIPSv2 with biases can be read."
        )
    registers = given.get("num_register_tokens", shape.registers)
    if not (type(registers) is int and 0 <= registers <= _MOST_REGISTERS):
        raise CheckpointError(
            "config.json: vision_config.num_register_tokens should be a whole number from 0 to "
            f"{_MOST_REGISTERS}, not {reprlib.repr(registers)}."
        )
    wide = int(shape.hidden_size * shape.mlp_ratio)
    if wide > MOST_WIDE:
        raise CheckpointError(
            f"config.json: vision_config.mlp_ratio {shape.mlp_ratio} gives an MLP of width {wide}. "
            f"At most {MOST_WIDE} is read."
        )
    wide = (int(wide * 2 / 3) + 7) // 8 * 8 if gated else wide
    return replace(shape, intermediate_size=wide, registers=registers, gated=gated)


# Towers by the names of the authors' code: width, layers, heads, and width of an MLP by that.
_TOWERS: dict[str, tuple[int, int, int, float]] = {
    "vit_small": (384, 12, 6, 4.0),
    "vit_base": (768, 12, 12, 4.0),
    "vit_large": (1024, 24, 16, 4.0),
    "vit_so400m": (1152, 27, 16, 4304 / 1152),
    "vit_giant2": (1536, 40, 24, 4.0),
}


def _nested(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the authors' flat configuration in the terms of `transformers`."""
    tower = content["vision_fn"]
    if not isinstance(tower, str) or tower not in _TOWERS:
        raise CheckpointError(
            f"config.json: vision_fn is {reprlib.repr(tower)}; known are {', '.join(_TOWERS)}."
        )
    width, layers, heads, ratio = _TOWERS[tower]
    vision = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "mlp_ratio": ratio,
        "use_swiglu_ffn": content.get("ffn_layer") == "swiglu",
    }
    nested: dict[str, Any] = {
        "vision_config": vision | _renamed(content, _VISION),
        "text_config": _renamed(content, _TEXT),
    }
    return nested | _renamed(content, {"temperature": "temperature_init_value"})


_VISION = {
    "img_size": "image_size",
    "patch_size": "patch_size",
    "num_register_tokens": "num_register_tokens",
}
_TEXT = {
    "text_hidden_size": "hidden_size",
    "text_mlp_dim": "intermediate_size",
    "text_num_heads": "num_attention_heads",
    "text_num_layers": "num_hidden_layers",
    "vocab_size": "vocab_size",
    "max_len": "max_position_embeddings",
}


def _renamed(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {theirs: content[name] for name, theirs in names.items() if name in content}


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise CheckpointError(
            f"config.json: {name} should be true or false, not {reprlib.repr(value)}."
        )
    return value


def _above_zero(value: Any, name: str) -> float:
    if not (is_number(value) and 0 < value < math.inf):
        raise CheckpointError(
            f"config.json: {name} should be a positive number, not {reprlib.repr(value)}."
        )
    return float(value)
