"""Prompts to token ids in SigLIP's manner: cleaned first, then filled up to the whole context.

SigLIP was trained on lower case without punctuation, SigLIP 2 on lower case. What is published
with them leaves this to the code around `tokenizer.json`, or does it there: doing it twice changes
nothing.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.errors import CheckpointError

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def without_punctuation(prompt: str) -> str:
    """Return the prompt in lower case, without ASCII punctuation, with single spaces."""
    return " ".join(prompt.lower().translate(_PUNCTUATION).split())


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """What a family of tokenizers expects: how prompts are cleaned, and the padding token."""

    clean: Callable[[str], str]
    padding: str


# By end token, in which the two vocabularies differ. SigLIP's pads with its end token, though it
# has a <pad> too; SigLIP 2's is Gemma's.
STYLES: dict[str, PromptStyle] = {
    "</s>": PromptStyle(without_punctuation, "</s>"),
    "<eos>": PromptStyle(str.lower, "<pad>"),
}


class SiglipTokenizer(Tokenizer):
    """Wraps a `tokenizer.json` of SigLIP or SigLIP 2.

    `end` and `padding` are the ids of these tokens; `vocabulary_size` counts the tokens that
    prompts are made of.
    """

    def __init__(self, path: Path, *, context_length: int) -> None:
        """Read the file.

        Args:
            path: The checkpoint's `tokenizer.json`.
            context_length: Tokens that every prompt is cut or filled up to, its end included.

        Raises:
            CheckpointError: The file cannot be read as one of SigLIP's tokenizers.
        """
        super().__init__(path, context_length=context_length)
        end = self._tokenizer.id_to_token(self.end)
        if end not in STYLES:
            raise CheckpointError(
                f"The tokenizer {path} ends prompts with {end!r}; SigLIP's end them with "
                f"{' or '.join(map(repr, STYLES))}. Use the one that comes with the checkpoint."
            )
        style = STYLES[end]
        padding = self._tokenizer.token_to_id(style.padding)
        if padding is None:
            raise CheckpointError(
                f"The tokenizer {path} has no {style.padding!r} to fill prompts up with. Use the "
                "one that comes with the checkpoint."
            )
        self.padding: int = padding
        self.vocabulary_size: int = self._tokenizer.get_vocab_size(with_added_tokens=False)
        self._clean = style.clean
        self._context_length = context_length

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return (prompts, context length) int64, filled up on the right."""
        rows = self.encode([self._clean(prompt) for prompt in prompts])
        length = self._context_length
        return torch.tensor([row + [self.padding] * (length - len(row)) for row in rows])
