"""Prompts to token ids as SigLIP needs them: cleaned, then padded to the whole context.

SigLIP was trained on lower case without punctuation, SigLIP 2 on lower case. Their published
`tokenizer.json` either does this or leaves it to the code around it; doing it twice changes
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
    """How a family of tokenizers cleans prompts, and its padding token."""

    clean: Callable[[str], str]
    padding: str


# By end token, in which the two vocabularies differ. SigLIP pads with its end token, although it
# has a <pad>; SigLIP 2 uses Gemma's vocabulary.
STYLES: dict[str, PromptStyle] = {
    "</s>": PromptStyle(without_punctuation, "</s>"),
    "<eos>": PromptStyle(str.lower, "<pad>"),
}


class SiglipTokenizer(Tokenizer):
    """Wraps a `tokenizer.json` of SigLIP or SigLIP 2.

    Attributes:
        end: Id of the end token.
        padding: Id of the padding token.
        vocabulary_size: Number of tokens that prompts can have.
    """

    def __init__(self, path: Path, *, context_length: int) -> None:
        """Read the file.

        Args:
            path: The checkpoint's `tokenizer.json`.
            context_length: Tokens that every prompt is cut or padded to, including its end.

        Raises:
            CheckpointError: The file is not one of SigLIP's tokenizers.
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
                f"The tokenizer {path} has no {style.padding!r} to pad prompts with. Use the "
                "one that comes with the checkpoint."
            )
        self.padding: int = padding
        self.vocabulary_size: int = self._tokenizer.get_vocab_size(with_added_tokens=False)
        self._clean = style.clean

    def beyond(self, prompt: str) -> str:
        """Return the end of a cleaned prompt that does not fit; "" where all does."""
        return super().beyond(self._clean(prompt))

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return (prompts, context length) int64, padded on the right."""
        rows = self.encode([self._clean(prompt) for prompt in prompts])
        length = self.context_length
        return torch.tensor([row + [self.padding] * (length - len(row)) for row in rows])
