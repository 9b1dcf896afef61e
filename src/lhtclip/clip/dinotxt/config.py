"""The configuration of a dino.txt on DINOv3; what a `config.json` leaves out is L/16's."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig, read_section
from lhtclip.errors import CheckpointError

KIND = "dino_txt"


@dataclass(frozen=True, slots=True)
class DinoVisionConfig(VisionConfig):
    """Shape of the image tower: a frozen DINOv3 and the blocks of the head trained on it.

    Attributes:
        num_hidden_layers: Blocks of both.
        registers: Tokens between the class token and the patches.
        head_layers: How many of the blocks are the head's.
        head_intermediate_size: Width of their gated MLPs.
    """

    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 26
    num_attention_heads: int = 16
    patch_size: int = 16
    hidden_act: str = "gelu"
    registers: int = 4
    head_layers: int = 2
    head_intermediate_size: int = 2752


_VISION = DinoVisionConfig()
_TEXT = TextConfig(
    hidden_size=1280,
    intermediate_size=5120,
    num_hidden_layers=24,
    num_attention_heads=20,
    hidden_act="gelu",
)


@dataclass(frozen=True, slots=True)
class DinoTxtConfig(ClipConfig):
    """Both towers and the width of the space that patches and texts share."""

    vision: DinoVisionConfig
    kind: ClassVar[str] = KIND
    architecture: ClassVar[str] = "DinoTxt"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> DinoTxtConfig:
        """Read the content of a `config.json`.

        Raises:
            CheckpointError: A setting is of another type or out of range.
        """
        whole = {"vision_config": {}, "text_config": {}, **content}
        vision = read_section(whole, "vision_config", _VISION)
        if vision.head_layers >= vision.num_hidden_layers:
            raise CheckpointError(
                f"config.json: {reprlib.repr(vision.head_layers)} of "
                f"{vision.num_hidden_layers} blocks cannot be the head's "
                "(vision_config.head_layers); DINOv3 needs at least one."
            )
        text = read_section(whole, "text_config", replace(_TEXT))
        return cls(vision, text, vision.hidden_size)
