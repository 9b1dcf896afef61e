"""The configuration of a CLIP, read from a checkpoint's `config.json`; shared by all families."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar, cast

from lhtclip.errors import CheckpointError, is_number

MOST_LAYERS, MOST_WIDE = 1000, 1 << 22  # beyond any CLIP; checked before anything is built
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_LEGACY_END_TOKEN = 2
_FAR = 2.0  # a mean that no levels from 0 to 1 have


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

    @property
    def ends_at_largest(self) -> bool:
        """Whether the end token is the one with the largest id, as in the original code.

        Early published files have 2 in place of its id, and mean that.
        """
        return self.eos_token_id == _LEGACY_END_TOKEN


@dataclass(frozen=True, slots=True)
class EndTextConfig(TextConfig):
    """A text tower of CLIP's kind whose end token may have any id, 2 included."""

    eos_token_id: int = 2

    @property
    def ends_at_largest(self) -> bool:
        """Whether the end token is the one with the largest id: it is the one named."""
        return False


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
    kind: ClassVar[str] = "clip"
    architecture: ClassVar[str] = "CLIPModel"
    default_text: ClassVar[TextConfig] = TextConfig()

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
            text=read_section(content, "text_config", cls.default_text),
            projection_dim=checked_projection(content),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of an equivalent `config.json`."""
        shared = {"projection_dim": self.projection_dim}
        return {
            "architectures": [self.architecture],
            "model_type": self.kind,
            **shared,
            "vision_config": self._tower("vision") | shared,
            "text_config": self._tower("text") | shared,
        }

    def _tower(self, name: str) -> dict[str, Any]:
        return asdict(getattr(self, name)) | {"model_type": f"{self.kind}_{name}_model"}


@dataclass(frozen=True, slots=True)
class PixelConfig:
    """How pixels are normalised: (level in [0, 1] - mean) / std, by channel."""

    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD

    @classmethod
    def from_json(
        cls, content: Mapping[str, Any], default: PixelConfig, *, file: str
    ) -> PixelConfig:
        """Read what `transformers` writes of an image processor; the rest is as in `default`.

        Args:
            content: The processor's settings.
            default: For what is left out.
            file: What errors call the file.

        Raises:
            CheckpointError: A mean or std that is not three numbers or of another scale, or a
                scale of levels that is not a number.
        """
        unit = _levels_per_unit(content, file)
        mean = _channels(content.get("image_mean") or default.mean, "image_mean", file)
        std = _channels(content.get("image_std") or default.std, "image_std", file)
        if not _switch(content, "do_normalize", file):
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        if unit != 1:
            mean, std = (tuple(level / unit for level in levels) for levels in (mean, std))
        if any(abs(level) > _FAR for level in mean) or not all(1e-4 < s < 1e4 for s in std):
            raise CheckpointError(
                f"{file}: image_mean and image_std are on another scale than levels from 0 to 1: "
                f"{mean} and {std}. If they are of levels up to 255, divide them by 255."
            )
        return cls(mean, std)


_Settings = TypeVar("_Settings", bound=VisionConfig | PromptConfig)
_Value = TypeVar("_Value", int, float, str)


def checked_projection(content: Mapping[str, Any]) -> int:
    """Return the width of the space that both towers share; 512 if it is not given.

    Raises:
        CheckpointError: It is not a positive whole number.
    """
    return _checked(content.get("projection_dim", 512), 512, "projection_dim")


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
    if isinstance(result, VisionConfig) and result.grid_size < 1:
        raise CheckpointError(
            f"config.json: {key}.patch_size {result.patch_size} is more than the image_size "
            f"{result.image_size}."
        )
    return result


def _checked(value: Any, like: _Value, name: str, *, zero: bool = False) -> _Value:
    """Return the value if it is of the type of `like` and, being a number, positive (or zero)."""
    most = MOST_LAYERS if name.endswith("num_hidden_layers") else MOST_WIDE
    kinds = (int, float) if isinstance(like, float) else type(like)
    if (
        not isinstance(value, kinds)
        or isinstance(value, bool)
        or not (isinstance(value, str) or (0 < value <= most or (value == 0 and zero)))
    ):
        wanted = {
            int: "a positive whole number",
            float: "a positive number",
            str: "a name",
        }
        limit = f" At most {most} is read." if is_number(value) and value > most else ""
        raise CheckpointError(
            f"config.json: {name} should be {wanted[type(like)]}, not {reprlib.repr(value)}.{limit}"
        )
    return cast("_Value", value)


def _channels(value: Any, name: str, file: str) -> tuple[float, ...]:
    values = cast("list[Any]", value) if isinstance(value, list | tuple) else []
    above_zero = name == "image_std"
    if len(values) != 3 or not all(is_number(v) and (v > 0 or not above_zero) for v in values):
        wanted = "three numbers above 0" if above_zero else "three numbers"
        raise CheckpointError(f"{file}: {name} should be {wanted}, not {reprlib.repr(value)}.")
    return tuple(float(level) for level in values)


def _switch(content: Mapping[str, Any], name: str, file: str) -> bool:
    """Return a switch that is on unless it is said."""
    value = content.get(name)
    if not isinstance(value, bool | None):
        raise CheckpointError(f"{file}: {name} should be true or false, not {value!r}.")
    return value is not False


def _levels_per_unit(content: Mapping[str, Any], file: str) -> float:
    """Return what the full range of a level becomes before the mean is subtracted: 1, as a rule."""
    if not _switch(content, "do_rescale", file):
        return 255.0
    factor = content.get("rescale_factor", 1 / 255)
    if not (is_number(factor) and factor > 0):
        raise CheckpointError(f"{file}: rescale_factor should be above 0, not {factor!r}.")
    unit = 255 * float(factor)
    return 1.0 if abs(unit - 1) < 1e-3 else unit
