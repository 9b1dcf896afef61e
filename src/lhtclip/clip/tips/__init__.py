"""TIPSv2 (arXiv 2604.12012): how its checkpoints are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lhtclip.clip.config import PixelConfig
from lhtclip.clip.family import Family
from lhtclip.clip.tips.config import TipsConfig
from lhtclip.clip.tips.model import Tips
from lhtclip.clip.tips.names import PUBLISHED, SAVED, TRANSFORMERS_TIPS
from lhtclip.clip.tips.tokenizer import TipsTokenizer
from lhtclip.errors import CheckpointError


def build_tips(content: Mapping[str, Any]) -> Tips:
    """Make the model that a `config.json` describes.

    Raises:
        CheckpointError: The file does not describe a TIPSv2.
    """
    return Tips(TipsConfig.from_json(content))


def read_tokenizer(path: Path, config: TipsConfig, config_file: str) -> TipsTokenizer:
    """Read the tokenizer of a TIPSv2.

    Raises:
        CheckpointError: It cannot be read, or has more tokens than the model.
    """
    tokenizer = TipsTokenizer(path, context_length=config.text.max_position_embeddings)
    if tokenizer.largest >= config.text.vocab_size:
        raise CheckpointError(
            f"{path.name} has tokens up to {tokenizer.largest}, but the model of {config_file} "
            f"knows {config.text.vocab_size}: the files do not belong together."
        )
    return tokenizer


TIPS = Family(
    build_tips,
    read_tokenizer,
    PixelConfig((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    PUBLISHED,
    others=(SAVED, TRANSFORMERS_TIPS),
)
