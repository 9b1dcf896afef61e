"""A tokenizer from a `tokenizer.model`: a BPE as SentencePiece trains and stores it.

The file is a message of protocol buffers. Of all its fields four matter: the pieces with their
kinds, and the table by which characters are normalised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from lhtclip.files.regular_files import read_regular

_MOST_BYTES = 64 << 20
_PIECES, _NORMALIZER, _TABLE = 1, 3, 2  # numbers of fields: of the file, and of the normaliser
_TEXT, _KIND = 1, 3  # of a piece
_CONTROL = 3  # the kind of <pad> and the like
_UNKNOWN = "<unk>"
_SPACE = "▁"


def sentencepiece_tokenizer(path: Path) -> Tokenizer:
    """Build the tokenizer of a `tokenizer.model`.

    Raises:
        Exception: Of many kinds, where the file is broken.
    """
    fields = list(_fields(read_regular(path, most=_MOST_BYTES)))
    pieces = [_piece(value) for number, value in fields if number == _PIECES]
    vocabulary = {text: index for index, (text, _) in enumerate(pieces)}
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=_merges(vocabulary),
            unk_token=_UNKNOWN,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    steps: list[normalizers.Normalizer] = [normalizers.Lowercase()]
    for number, value in fields:
        if number == _NORMALIZER and (table := _last(value, _TABLE)):
            steps.append(normalizers.Precompiled(table))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always"),
        ]
    )
    tokenizer.add_special_tokens([text for text, kind in pieces if kind == _CONTROL])
    return tokenizer


def _merges(vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return every way to put a piece together from two others, earlier pieces first."""
    return [
        (piece[:end], piece[end:])
        for piece in vocabulary
        for end in range(1, len(piece))
        if piece[:end] in vocabulary and piece[end:] in vocabulary
    ]


def _piece(message: bytes | int) -> tuple[str, int]:
    text = _last(message, _TEXT)
    kinds = [value for number, value in _fields(message) if number == _KIND]
    return text.decode("utf-8"), int(kinds[-1]) if kinds else 1


def _last(message: bytes | int, wanted: int) -> bytes:
    """Return the content of a field of bytes; empty if it is not there."""
    found = [value for number, value in _fields(message) if number == wanted]
    return bytes(found[-1]) if found else b""


def _fields(message: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    """Yield number and value of every field: a whole number, or bytes, as they are stored."""
    if isinstance(message, int):
        raise ValueError("a message of protocol buffers was expected, not a number")
    at = 0
    while at < len(message):
        tag, at = _whole_number(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _whole_number(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _whole_number(message, at)
        else:
            size = {1: 8, 5: 4}[kind]
        if at + size > len(message):
            raise ValueError("it ends in the middle of a field")
        yield tag >> 3, message[at : at + size]
        at += size


def _whole_number(message: bytes, at: int) -> tuple[int, int]:
    """Read 7 bits of each byte, lowest first, while the eighth is set."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
