"""Prompts to token ids as TIPSv2 needs them: in lower case, with no mark at their end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import tokenizers
import torch
from torch import Tensor

from lhtclip.clip.tips.sentencepiece import sentencepiece_tokenizer
from lhtclip.clip.tips.text import PADDING
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.clip.tokenizer_files import SENTENCEPIECE_FILE


class TipsTokenizer(Tokenizer):
    """Wraps a `tokenizer.json` or `tokenizer.model` of a TIPSv2."""

    marks_end: ClassVar[bool] = False

    def beyond(self, prompt: str) -> str:
        """Return the end of a prompt in lower case that does not fit; "" where all does."""
        return super().beyond(prompt.lower())

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return (prompts, longest prompt) int64, padded on the right."""
        rows = self.encode([prompt.lower() for prompt in prompts])
        longest = max(1, *map(len, rows))
        return torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])

    @classmethod
    def read(cls, path: Path) -> tokenizers.Tokenizer:
        """Read either file."""
        if path.name == SENTENCEPIECE_FILE:
            return sentencepiece_tokenizer(path)
        return super().read(path)
