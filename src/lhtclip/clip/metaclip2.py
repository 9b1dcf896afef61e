"""MetaCLIP 2 (arXiv 2507.22062): CLIP's towers, and prompts in the words of most languages.

Only the text differs from CLIP's: XLM-V's 901,629 tokens, and a prompt is read out at the token
that the configuration names, which has the id 2 and is not the largest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lhtclip.clip.config import ClipConfig, EndTextConfig, PixelConfig, TextConfig
from lhtclip.clip.family import Family
from lhtclip.clip.model import TRANSFORMERS_CLIP, Clip, read_tokenizer


@dataclass(frozen=True, slots=True)
class MetaClip2Config(ClipConfig):
    """Both towers and the width of the space they share."""

    kind: ClassVar[str] = "metaclip_2"
    architecture: ClassVar[str] = "MetaClip2Model"
    default_text: ClassVar[TextConfig] = EndTextConfig(eos_token_id=49407)


def build_metaclip2(content: Mapping[str, Any]) -> Clip:
    """Make the model that a `config.json` describes.

    Raises:
        CheckpointError: The file does not describe a MetaCLIP 2.
    """
    return Clip(MetaClip2Config.from_json(content))


METACLIP2 = Family(build_metaclip2, read_tokenizer, PixelConfig(), TRANSFORMERS_CLIP)
