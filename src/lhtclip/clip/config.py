"""The configuration of a CLIP, read from a checkpoint's `config.json`; shared by all families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, TypeVar, cast

from lhtclip.errors import CheckpointError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Shape of the image tower; names and defaults are those of the `transformers` layout."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    image_size: int = 224
    patch_size: int = 32
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5

    @property
    def grid_size(self) -> int:
        """Patches along one side of the square that the position table was trained on."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """Shape of any text tower; names and defaults are those of the `transformers` layout."""

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class TextConfig(PromptConfig):
    """Shape of CLIP's text tower, and the token whose feature stands for the prompt."""

    eos_token_id: int = 49407


class ModelConfig(Protocol):
    """Both towers of any family and the width of the space they share."""

    @property
    def vision(self) -> VisionConfig:
        """The image tower."""
        ...

    @property
    def text(self) -> PromptConfig:
        """The text tower."""
        ...

    @property
    def projection_dim(self) -> int:
        """Width of the space that both towers share."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the content of an equivalent `config.json`."""
        ...


@dataclass(frozen=True, slots=True)
class ClipConfig:
    """Both towers and the width of the space they share."""

    vision: VisionConfig
    text: TextConfig
    projection_dim: int = 512

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ClipConfig:
        """Read the content of a `config.json`.

        Some published files have a `text_config_dict` or `vision_config_dict`. As in their own
        loader, it then counts alone, and everything it leaves out has the default value.

        Raises:
            CheckpointError: The file does not describe a CLIP.
        """
        return cls(
            vision=read_section(content, "vision_config", VisionConfig()),
            text=read_section(content, "text_config", TextConfig()),
            projection_dim=_checked(content.get("projection_dim", 512), 512, "projection_dim"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of an equivalent `config.json`."""
        shared = {"projection_dim": self.projection_dim}
        return {
            "architectures": ["CLIPModel"],
            "model_type": "clip",
            **shared,
            "vision_config": asdict(self.vision) | {"model_type": "clip_vision_model"} | shared,
            "text_config": asdict(self.text) | {"model_type": "clip_text_model"} | shared,
        }


@dataclass(frozen=True, slots=True)
class PixelConfig:
    """How pixels are normalised: (level in [0, 1] - mean) / std, by channel."""

    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD

    @classmethod
    def from_json(cls, content: Mapping[str, Any], default: PixelConfig) -> PixelConfig:
        """Read the content of a `preprocessor_config.json`; missing settings come from `default`.

        Raises:
            CheckpointError: A mean or std that is not three numbers.
        """
        return cls(
            mean=_channels(content.get("image_mean", default.mean), "image_mean"),
            std=_channels(content.get("image_std", default.std), "image_std"),
        )


_Settings = TypeVar("_Settings", bound=VisionConfig | PromptConfig)
_Value = TypeVar("_Value", int, float, str)


def section(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object that describes a tower.

    Raises:
        CheckpointError: It is missing or not an object.
    """
    values = content.get(f"{key}_dict")
    if values is None:
        values = content.get(key)
    if not isinstance(values, Mapping):
        fault = "missing" if values is None else "not an object"
        raise CheckpointError(f"config.json does not describe a CLIP: its {key!r} is {fault}.")
    return cast("Mapping[str, Any]", values)


def read_section(content: Mapping[str, Any], key: str, default: _Settings) -> _Settings:
    """Return the settings of a tower; missing ones come from `default`.

    Raises:
        CheckpointError: A setting is of another type or out of range.
    """
    given = section(content, key)
    settings: dict[str, Any] = asdict(default)
    for name in settings.keys() & given.keys():
        settings[name] = _checked(
            given[name], settings[name], f"{key}.{name}", zero=name == "eos_token_id"
        )
    result = replace(default, **settings)
    if result.hidden_size % result.num_attention_heads:
        raise CheckpointError(
            f"config.json: {key}.hidden_size {result.hidden_size} cannot be divided among "
            f"{result.num_attention_heads} attention heads."
        )
    return result


def _checked(value: Any, like: _Value, name: str, *, zero: bool = False) -> _Value:
    """Return the value if it has the type of `like` and, if it is a number, is positive (or 0)."""
    kinds = (int, float) if isinstance(like, float) else type(like)
    if not isinstance(value, kinds) or (
        not isinstance(value, str) and (value < 0 or (value == 0 and not zero))
    ):
        wanted = {int: "a positive whole number", float: "a positive number", str: "a name"}
        raise CheckpointError(f"config.json: {name} should be {wanted[type(like)]}, not {value!r}.")
    return cast("_Value", value)


def _channels(value: Any, name: str) -> tuple[float, ...]:
    values = cast("list[Any]", value) if isinstance(value, list | tuple) else []
    if len(values) != 3 or not all(isinstance(level, int | float) for level in values):
        raise CheckpointError(
            f"preprocessor_config.json: {name} should be three numbers, not {value!r}."
        )
    return tuple(float(level) for level in values)
