"""CLIP's tokenizer from `vocab.json` and `merges.txt`, as older checkpoints carry it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import RobertaProcessing

from lhtclip.clip.tokenizer_files import MERGES_FILE
from lhtclip.files.json_files import read_json
from lhtclip.files.regular_files import read_regular

_START, _END = "<|startoftext|>", "<|endoftext|>"
_WORDS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""  # of CLIP's own code
_MOST_BYTES = 64 << 20


def bpe_tokenizer(vocabulary_file: Path) -> Tokenizer:
    """Build the tokenizer of a `vocab.json` and the `merges.txt` next to it.

    Raises:
        Exception: Of many kinds, where a file is missing or broken.
    """
    vocabulary = cast("dict[str, Any]", read_json(vocabulary_file))
    merges = vocabulary_file.with_name(MERGES_FILE)
    lines = read_regular(merges, most=_MOST_BYTES).decode("utf-8").splitlines()
    pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=cast("list[tuple[str, str]]", pairs),
            unk_token=_END,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    end, start = (_END, vocabulary[_END]), (_START, vocabulary[_START])
    tokenizer.post_processor = RobertaProcessing(
        end,
        start,
        trim_offsets=False,
        add_prefix_space=False,
    )
    tokenizer.add_special_tokens([_START, _END])
    return tokenizer
