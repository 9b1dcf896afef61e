"""Prompts to token ids, by the checkpoint's own `tokenizer.json` or `vocab.json`."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from tokenizers import Tokenizer as _Tokenizer
from torch import Tensor

from lhtclip.clip.bpe_files import bpe_tokenizer
from lhtclip.clip.tokenizer_files import VOCABULARY_FILE
from lhtclip.errors import CheckpointError, reason_of
from lhtclip.files.c_messages import c_messages_caught
from lhtclip.files.regular_files import read_regular

_MOST_BYTES = 256 << 20
_TRIAL = ("a photo of a cat.", "naïve 狗 \x00")


class Tokenizer:
    """Wraps a `tokenizer.json`; cuts longer prompts and keeps their end token.

    Attributes:
        marks_end: Whether prompts have an end token; `end` is -1 if not.
        end: Id of the end token.
        largest: The largest id of all tokens.
        context_length: The most tokens a prompt may have, start and end included.
    """

    marks_end: ClassVar[bool] = True

    def __init__(self, path: Path, *, context_length: int) -> None:
        """Read the file.

        Args:
            path: The checkpoint's `tokenizer.json`, or its `vocab.json` next to a `merges.txt`.
            context_length: The most tokens a prompt may have, start and end included.

        Raises:
            CheckpointError: The file cannot be read as a tokenizer, or as one without an end token,
                or the context leaves no room for words.
        """
        self.context_length = context_length
        with _failures_explained(path):
            self._tokenizer = self.read(path)
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            markers = self._tokenizer.encode("").ids
            if bool(markers) >= self.marks_end and len(markers) < context_length:
                self._tokenizer.enable_truncation(context_length)  # pyright: ignore[reportUnknownMemberType]
            self._tokenizer.encode_batch(list(_TRIAL))
            ids = self._tokenizer.get_vocab(with_added_tokens=True).values()
            self.largest: int = max(ids, default=-1)
        if self.marks_end and not markers:
            raise CheckpointError(f"The tokenizer {path} does not put an end token after a prompt.")
        if len(markers) >= context_length:
            raise CheckpointError(
                f"A context of {context_length} tokens leaves no room for words between the "
                f"{len(markers)} that {path} puts around a prompt: the files do not belong "
                "together."
            )
        self.end: int = markers[-1] if self.marks_end else -1

    @classmethod
    def read(cls, path: Path) -> _Tokenizer:
        """Read the file.

        Raises:
            Exception: Of many kinds, where it is missing or broken.
        """
        if path.name == VOCABULARY_FILE:
            return bpe_tokenizer(path)
        return _Tokenizer.from_str(read_regular(path, most=_MOST_BYTES).decode("utf-8"))

    def knows(self, word: str) -> bool:
        """Whether a word is a token of its own."""
        return self._tokenizer.token_to_id(word) is not None

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each prompt, its end token last."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(prompts))]

    def to_json(self) -> dict[str, Any]:
        """Return the content of an equivalent `tokenizer.json`."""
        return json.loads(self._tokenizer.to_str())

    def beyond(self, prompt: str) -> str:
        """Return the end of a prompt that does not fit into the context; "" where all does."""
        encoding = self._tokenizer.encode(prompt)
        if not encoding.overflowing:
            return ""
        return prompt[max(end for _, end in encoding.offsets) :]

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return (prompts, longest prompt) int64, padded on the right with the end token."""
        rows = self.encode(prompts)
        longest = max(map(len, rows))
        return torch.tensor([row + [self.end] * (longest - len(row)) for row in rows])


@contextmanager
def _failures_explained(path: Path) -> Generator[None, None, None]:
    """Turn whatever the binding raises into one error; its panics are no `Exception`."""
    failure: BaseException | None = None
    with c_messages_caught():
        try:
            yield
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            failure = error
    if failure is not None:
        raise CheckpointError(
            f"Cannot read the tokenizer {path}: {reason_of(failure)}."
        ) from failure
