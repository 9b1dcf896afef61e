"""Chinese-CLIP (arXiv 2211.01335): CLIP's image tower and a BERT that reads Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lhtclip.clip.bert.text import BERT_BLOCK, BertConfig, BertTextTower, names_in
from lhtclip.clip.bert.tokenizer import BertTokenizer, read_bert_tokenizer
from lhtclip.clip.config import (
    PixelConfig,
    VisionConfig,
    checked_projection,
    read_section,
)
from lhtclip.clip.family import Family
from lhtclip.clip.model import TRANSFORMERS_CLIP
from lhtclip.clip.towers import ImageTextModel
from lhtclip.clip.vision import VisionTower


@dataclass(frozen=True, slots=True)
class ChineseClipConfig:
    """Both towers and the width of the space they share."""

    vision: VisionConfig
    text: BertConfig
    projection_dim: int = 512

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ChineseClipConfig:
        """Read the content of a `config.json`.

        Raises:
            CheckpointError: The file does not describe a Chinese-CLIP.
        """
        return cls(
            vision=read_section(content, "vision_config", VisionConfig()),
            text=read_section(content, "text_config", BertConfig()),
            projection_dim=checked_projection(content),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of an equivalent `config.json`."""
        shared = {"projection_dim": self.projection_dim}
        vision, text = asdict(self.vision), asdict(self.text)
        return {
            "architectures": ["ChineseCLIPModel"],
            "model_type": "chinese_clip",
            **shared,
            "vision_config": vision | {"model_type": "chinese_clip_vision_model"} | shared,
            "text_config": text | {"model_type": "chinese_clip_text_model"},
        }


class ChineseClip(ImageTextModel):
    """A Chinese-CLIP: image tower, text tower and the learned temperature."""

    def __init__(self, config: ChineseClipConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config.vision, config.projection_dim)
        projection = nn.Linear(config.text.hidden_size, config.projection_dim, bias=False)
        self.text = BertTextTower(config.text, projection)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))  # ln(1 / 0.07)


def build_chinese(content: Mapping[str, Any]) -> ChineseClip:
    """Make the model that a `config.json` describes.

    Raises:
        CheckpointError: The file does not describe a Chinese-CLIP.
    """
    return ChineseClip(ChineseClipConfig.from_json(content))


def read_tokenizer(path: Path, config: ChineseClipConfig, config_file: str) -> BertTokenizer:
    """Read the tokenizer.

    Raises:
        CheckpointError: It cannot be read, or has more tokens than the model.
    """
    length = config.text.max_position_embeddings
    return read_bert_tokenizer(path, config.text, config_file, context_length=length)


TRANSFORMERS_CHINESE = replace(
    TRANSFORMERS_CLIP,
    top={
        **{
            ours: theirs
            for ours, theirs in TRANSFORMERS_CLIP.top.items()
            if not ours.startswith("text.")
        },
        **names_in("text_model"),
        "text.projection.weight": "text_projection.weight",
    },
    towers={**TRANSFORMERS_CLIP.towers, "text": "text_model.encoder.layer."},
    block={**TRANSFORMERS_CLIP.block, **BERT_BLOCK},
)

CHINESE = Family(build_chinese, read_tokenizer, PixelConfig(), TRANSFORMERS_CHINESE)
