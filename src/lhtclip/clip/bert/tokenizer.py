"""Prompts to the tokens of a BERT, from its `tokenizer.json` or its list of words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tokenizers
import torch
from tokenizers import normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from torch import Tensor

from lhtclip.clip.bert.text import PADDING
from lhtclip.clip.config import PromptConfig
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.clip.tokenizer_files import WORDS_FILE
from lhtclip.errors import CheckpointError
from lhtclip.files.regular_files import read_regular

_MOST_BYTES = 16 << 20
_UNKNOWN, _START, _END, _PADDING = "[UNK]", "[CLS]", "[SEP]", "[PAD]"


class BertTokenizer(Tokenizer):
    """Wraps a `tokenizer.json` or `vocab.txt` of a BERT in lower case."""

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return (prompts, longest prompt) int64, padded on the right."""
        rows = self.encode(prompts)
        longest = max(map(len, rows))
        return torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])

    @classmethod
    def read(cls, path: Path) -> tokenizers.Tokenizer:
        """Read either file."""
        if path.name == WORDS_FILE:
            return words_tokenizer(path)
        return super().read(path)


def words_tokenizer(path: Path) -> tokenizers.Tokenizer:
    """Build the tokenizer of a `vocab.txt`, a word piece a line.

    Raises:
        Exception: Of many kinds, where the file is broken.
    """
    lines = read_regular(path, most=_MOST_BYTES).decode("utf-8").splitlines()
    ids = {line: index for index, line in enumerate(lines)}
    tokenizer = tokenizers.Tokenizer(WordPiece(ids, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}",
        special_tokens=[(_START, ids[_START]), (_END, ids[_END])],
    )
    tokenizer.add_special_tokens([_PADDING, _UNKNOWN, _START, _END])
    return tokenizer


def read_bert_tokenizer(
    path: Path, text: PromptConfig, config_file: str, *, context_length: int
) -> BertTokenizer:
    """Read the tokenizer of a BERT.

    Raises:
        CheckpointError: It cannot be read, or has more tokens than the model.
    """
    tokenizer = BertTokenizer(path, context_length=context_length)
    if tokenizer.largest >= text.vocab_size:
        raise CheckpointError(
            f"{path.name} has tokens up to {tokenizer.largest}, but the model of {config_file} "
            f"knows {text.vocab_size}: the files do not belong together."
        )
    return tokenizer
