"""Prompts to token ids, with the checkpoint's own `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer as _Tokenizer
from torch import Tensor

from lhtclip.errors import CheckpointError


class Tokenizer:
    """Wraps a `tokenizer.json`; cuts longer prompts and keeps their end token.

    Attributes:
        end: Id of the end token.
    """

    def __init__(self, path: Path, *, context_length: int) -> None:
        """Read the file.

        Args:
            path: The checkpoint's `tokenizer.json`.
            context_length: Maximum tokens of a prompt, including start and end.

        Raises:
            CheckpointError: The file is not a tokenizer, or has no end token.
        """
        try:
            self._tokenizer = _Tokenizer.from_file(str(path))
        except Exception as error:  # the binding raises bare Exception
            raise CheckpointError(f"Cannot read the tokenizer {path}: {error}.") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(context_length)  # pyright: ignore[reportUnknownMemberType]
        markers = self._tokenizer.encode("").ids
        if not markers:
            raise CheckpointError(f"The tokenizer {path} does not put an end token after a prompt.")
        self.end: int = markers[-1]

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each prompt, its end token last."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(prompts))]

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return (prompts, longest prompt) int64, padded on the right with the end token."""
        rows = self.encode(prompts)
        longest = max(map(len, rows))
        return torch.tensor([row + [self.end] * (longest - len(row)) for row in rows])
