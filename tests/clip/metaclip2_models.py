"""A tiny random MetaCLIP 2 of `transformers`, and a tokenizer in the manner of XLM-V's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import MetaClip2Config, MetaClip2Model

from tests.clip.published import random_clip, tower

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁a", "▁photo", "▁of", "Katze", "собака", "猫"]


def build_tokenizer() -> Tokenizer:
    """A unigram model with XLM-V's special tokens in XLM-V's places; upper case stays."""
    pieces = [*PIECES, "一只", *map(chr, range(33, 127))]
    tokenizer = Tokenizer(
        models.Unigram([(piece, -float(index)) for index, piece in enumerate(pieces)], unk_id=3)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def build_mt5_tokenizer() -> Tokenizer:
    """The same words with mT5's special tokens in their places: no start token, 1 is the end."""
    pieces = ["<pad>", "</s>", "<unk>", *PIECES[4:], "一只", *map(chr, range(33, 127))]
    tokenizer = Tokenizer(
        models.Unigram([(piece, -float(index)) for index, piece in enumerate(pieces)], unk_id=2)
    )
    tokenizer.pre_tokenizer = TOKENIZER.pre_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


TOKENIZER = build_tokenizer()
SHAPE: dict[str, Any] = {
    "projection_dim": 24,
    "vision_config": tower(64, 4) | {"image_size": 32, "patch_size": 8},
    "text_config": tower(48, 3)
    | {"vocab_size": TOKENIZER.get_vocab_size(), "bos_token_id": 0, "eos_token_id": 2},
}


def save_metaclip2(
    folder: Path, *, tokenizer: Tokenizer = TOKENIZER, end: int = 2
) -> MetaClip2Model:
    """Save one with CLIP's random weights, which have the names and shapes of MetaCLIP 2's."""
    words = {"vocab_size": tokenizer.get_vocab_size(), "eos_token_id": end}
    shape = SHAPE | {"text_config": SHAPE["text_config"] | words}
    model = MetaClip2Model(MetaClip2Config(**shape)).eval()
    model.load_state_dict(random_clip(shape).state_dict())
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return model
