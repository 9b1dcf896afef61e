"""A `tokenizer.model` written by hand: what it says, and what is wrong with broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.clip.tips.tokenizer import TipsTokenizer
from lhtclip.clip.tokenizer_files import SENTENCEPIECE_FILE
from lhtclip.errors import CheckpointError
from tests.clip.tips_models import PIECES, save_tips

PROMPTS = ["A photo of a Cat.", "dog", "naïve 車 🚗", "cat,  dog\n" * 12, "ph ▁cat"]


def field(number: int, content: bytes) -> bytes:
    size, encoded = len(content), b""
    while size >= 128:
        encoded += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + encoded + bytes([size]) + content


def stored() -> bytes:
    kinds = {"<pad>": 3, "<unk>": 2}
    pieces = (
        field(1, piece.encode())
        + bytes([2 << 3 | 5, 0, 0, 128, 63])  # a score
        + (bytes([3 << 3, kinds[piece]]) if piece in kinds else b"")
        for piece in PIECES
    )
    return b"".join(field(1, piece) for piece in pieces) + field(2, b"") + field(3, field(1, b"x"))


def test_as_in_transformers(tmp_path: Path) -> None:
    save_tips(tmp_path)
    expected = load_checkpoint(tmp_path).tokenizer(PROMPTS)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / SENTENCEPIECE_FILE).write_bytes(stored())
    assert torch.equal(load_checkpoint(tmp_path).tokenizer(PROMPTS), expected)


@pytest.mark.parametrize("kept", [0, 1, 40, 2000])
def test_truncated(tmp_path: Path, kept: int) -> None:
    path = tmp_path / SENTENCEPIECE_FILE
    path.write_bytes(stored()[:kept])
    with pytest.raises(CheckpointError, match=r"Cannot read the tokenizer .*tokenizer\.model"):
        TipsTokenizer(path, context_length=20)
