from __future__ import annotations

import json
import re
import string
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers as hf
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast, Siglip2Tokenizer

from lhtclip.clip.siglip.tokenizer import SiglipTokenizer, without_punctuation
from lhtclip.errors import CheckpointError

PROMPTS = [
    "a photo of a cat.",
    "  A PHOTO\tof a\n\nDog  ",
    "it's the dog's bed -- {really}?",
    "größe, 車 and 🚗",
    "12 dogs/cats (old) <dog>",
    "",
    "...",
    "dog " * 80,
]


def literal_canonical(text: str) -> str:
    """Lower case, no punctuation, one space: as published with SigLIP's own evaluation."""
    kept = ""
    for letter in text.lower():
        if letter not in string.punctuation:
            kept += letter
    return re.sub(r"\s+", " ", kept).strip()


@pytest.fixture
def file(tmp_path: Path, siglip_tokenizers: dict[str, hf.Tokenizer]) -> Callable[[str], Path]:
    def save(like: str) -> Path:
        path = tmp_path / f"{like}.json"
        siglip_tokenizers[like].save(str(path))
        return path

    return save


@given(st.text())
def test_without_punctuation(text: str) -> None:
    cleaned = without_punctuation(text)
    assert cleaned == literal_canonical(text)
    assert without_punctuation(cleaned) == cleaned


@pytest.mark.parametrize("context_length", [12, 64])
def test_siglip_as_in_transformers(file: Callable[[str], Path], context_length: int) -> None:
    path = file("siglip")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path), eos_token="</s>", pad_token="</s>")
    expected = theirs(
        [literal_canonical(prompt) for prompt in PROMPTS],
        padding="max_length",
        truncation=True,
        max_length=context_length,
        return_tensors="pt",
    )["input_ids"]
    found = SiglipTokenizer(path, context_length=context_length)(PROMPTS)
    assert found.dtype == torch.int64
    assert torch.equal(found, expected)
    assert (found[:, -1] == 1).all()


@pytest.mark.parametrize("context_length", [12, 64])
def test_siglip2_as_in_transformers(file: Callable[[str], Path], context_length: int) -> None:
    path = file("siglip2")
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    theirs = Siglip2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(merge) for merge in model["merges"]],
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
    )
    expected = theirs(
        PROMPTS,
        padding="max_length",
        truncation=True,
        max_length=context_length,
        return_tensors="pt",
    )["input_ids"]
    found = SiglipTokenizer(path, context_length=context_length)(PROMPTS)
    assert torch.equal(found, expected)
    assert found[0, -1] == (0 if context_length == 64 else 1)  # padding, or the end kept


@pytest.mark.parametrize("like", ["siglip", "siglip2"])
def test_a_file_that_cleans_and_fills_up_itself(file: Callable[[str], Path], like: str) -> None:
    path = file(like)
    expected = SiglipTokenizer(path, context_length=20)(PROMPTS)
    stored = hf.Tokenizer.from_file(str(path))
    steps: list[hf.normalizers.Normalizer] = [hf.normalizers.Lowercase()]
    if like == "siglip":
        signs = hf.Regex(f"[{re.escape(string.punctuation)}]")
        steps += [hf.normalizers.Replace(signs, ""), hf.normalizers.Strip()]
        steps.insert(2, hf.normalizers.Replace(hf.Regex(r"\s+"), " "))
    if stored.normalizer is not None:
        steps.append(stored.normalizer)
    stored.normalizer = hf.normalizers.Sequence(steps)
    stored.enable_padding(direction="left", length=64, pad_id=3, pad_token="<unk>")
    stored.enable_truncation(64)
    stored.save(str(path))
    assert torch.equal(SiglipTokenizer(path, context_length=20)(PROMPTS), expected)


def test_case_and_punctuation(file: Callable[[str], Path]) -> None:
    first = SiglipTokenizer(file("siglip"), context_length=20)
    assert torch.equal(first(["A Cat."]), first(["a cat"]))
    second = SiglipTokenizer(file("siglip2"), context_length=20)
    assert torch.equal(second(["A Cat."]), second(["a cat."]))
    assert not torch.equal(second(["a cat."]), second(["a cat"]))


def test_special_tokens(file: Callable[[str], Path]) -> None:
    first = SiglipTokenizer(file("siglip"), context_length=20)
    second = SiglipTokenizer(file("siglip2"), context_length=20)
    assert (first.end, first.padding) == (1, 1)
    assert (second.end, second.padding) == (1, 0)
    assert first(["cat"]).shape == second(["cat"]).shape == (1, 20)


def test_tokenizer_of_clip(tmp_path: Path, tokenizers: dict[str, hf.Tokenizer]) -> None:
    tokenizers["last"].save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(
        CheckpointError, match=r"'<\|endoftext\|>'; SigLIP's end them with '</s>' or '<eos>'"
    ):
        SiglipTokenizer(tmp_path / "tokenizer.json", context_length=64)


def test_no_padding_token(file: Callable[[str], Path]) -> None:
    path = file("siglip2")
    path.write_text(path.read_text(encoding="utf-8").replace("<pad>", "<gap>"), encoding="utf-8")
    with pytest.raises(CheckpointError, match="has no '<pad>' to pad prompts with"):
        SiglipTokenizer(path, context_length=64)


def test_no_end_token(file: Callable[[str], Path]) -> None:
    path = file("siglip")
    stored = hf.Tokenizer.from_file(str(path))
    stored.post_processor = hf.processors.TemplateProcessing(single="$A", special_tokens=[])
    stored.save(str(path))
    with pytest.raises(CheckpointError, match="end token after"):
        SiglipTokenizer(path, context_length=64)
