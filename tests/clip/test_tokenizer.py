from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers as hf
import torch
from transformers import PreTrainedTokenizerFast

from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.errors import CheckpointError

PROMPTS = [
    "a photo of a cat.",
    "  A PHOTO\tof a\n\nDog  ",
    "it's the dog's bed",
    "größe, 車 and 🚗",
    "12 dogs/cats (old)",
    "",
    "dog " * 40,
]


@pytest.fixture(params=["last", "second"])
def file(
    request: pytest.FixtureRequest, tmp_path: Path, tokenizers: dict[str, hf.Tokenizer]
) -> Path:
    path = tmp_path / "tokenizer.json"
    tokenizers[request.param].save(str(path))
    return path


@pytest.mark.parametrize("context_length", [20, 77])
def test_same_as_transformers(file: Path, context_length: int) -> None:
    theirs = PreTrainedTokenizerFast(
        tokenizer_file=str(file), eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    expected = theirs(
        PROMPTS, padding="longest", truncation=True, max_length=context_length, return_tensors="pt"
    )["input_ids"]
    found = Tokenizer(file, context_length=context_length)(PROMPTS)
    assert found.dtype == torch.int64
    assert torch.equal(found, expected)


def test_long_prompts_keep_their_end_token(file: Path) -> None:
    tokenizer = Tokenizer(file, context_length=8)
    long, short = tokenizer(["dog " * 40, "dog"])
    assert len(long) == 8
    assert long[-1] == tokenizer.end
    assert (long == tokenizer.end).sum() == 1
    assert short[2:].tolist() == [tokenizer.end] * 6


def test_a_batch_is_as_long_as_its_longest_prompt(file: Path) -> None:
    tokenizer = Tokenizer(file, context_length=77)
    assert tokenizer(["dog"]).shape == (1, 3)
    assert tokenizer(["dog", "a cat", "cat of dog"]).shape == (3, 5)


def test_limits_stored_in_the_file_do_not_count(file: Path) -> None:
    stored = hf.Tokenizer.from_file(str(file))
    stored.enable_padding(length=64)
    stored.enable_truncation(4)
    stored.save(str(file))
    tokenizer = Tokenizer(file, context_length=10)
    assert tokenizer(["dog"]).shape == (1, 3)
    assert tokenizer(["dog " * 40]).shape == (1, 10)


def test_no_end_token(file: Path) -> None:
    hf.Tokenizer(hf.models.BPE({"a": 0}, [])).save(str(file))
    with pytest.raises(CheckpointError, match="end token after"):
        Tokenizer(file, context_length=77)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"model": {"type": "What"}}'])
def test_broken_file(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(CheckpointError, match=r"Cannot read the tokenizer .*tokenizer\.json"):
        Tokenizer(file, context_length=77)


def test_bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="Cannot read the tokenizer"):
        Tokenizer(file, context_length=77)
