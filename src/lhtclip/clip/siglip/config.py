"""The configuration of a SigLIP, read from a checkpoint's `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lhtclip.clip.config import PromptConfig, VisionConfig, read_section, section
from lhtclip.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class SiglipTextConfig(PromptConfig):
    """Shape of SigLIP's text tower; names and defaults are those of the `transformers` layout."""

    vocab_size: int = 32000
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_attention_heads: int = 12
    max_position_embeddings: int = 64
    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: float = 1e-6


SIGLIP_VISION = VisionConfig(patch_size=16, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6)


@dataclass(frozen=True, slots=True)
class SiglipConfig:
    """Both towers of a SigLIP; the space they share is as wide as its image tower."""

    vision: VisionConfig
    text: SiglipTextConfig

    @property
    def projection_dim(self) -> int:
        """Width of the space that both towers share."""
        return self.vision.hidden_size

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SiglipConfig:
        """Read the content of a `config.json`.

        Raises:
            CheckpointError: The file does not describe a SigLIP with a pooling head, or its towers
                have features of different width.
        """
        vision = read_section(content, "vision_config", SIGLIP_VISION)
        text = read_section(content, "text_config", SiglipTextConfig())
        if not section(content, "vision_config").get("vision_use_head", True):
            raise CheckpointError(
                "config.json describes a SigLIP without a pooling head (vision_use_head is false), "
                "so its patches cannot be compared with prompts. Use a complete SigLIP."
            )
        projection = section(content, "text_config").get("projection_size") or text.hidden_size
        if projection != vision.hidden_size:
            raise CheckpointError(
                f"config.json: text features of width {projection} (text_config.projection_size) "
                f"cannot be compared with image features of width {vision.hidden_size} "
                "(vision_config.hidden_size)."
            )
        return cls(vision, text)

    def to_json(self) -> dict[str, Any]:
        """Return the content of an equivalent `config.json`."""
        return {
            "architectures": ["SiglipModel"],
            "model_type": "siglip",
            "vision_config": asdict(self.vision) | {"model_type": "siglip_vision_model"},
            "text_config": asdict(self.text)
            | {"model_type": "siglip_text_model", "projection_size": self.projection_dim},
        }
