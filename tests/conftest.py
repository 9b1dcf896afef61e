"""Tiny tokenizers in the manner of CLIP and SigLIP, and random models saved to folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

SaveClip = Callable[..., Any]
SaveSiglip = Callable[..., Any]

TINY: dict[str, Any] = {
    "projection_dim": 16,
    "vision_config": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
        "layer_norm_eps": 1e-3,  # not the default
    },
    "text_config": {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "max_position_embeddings": 20,
        "layer_norm_eps": 1e-4,
    },
}
TINY_SIGLIP: dict[str, Any] = {
    "vision_config": TINY["vision_config"],
    "text_config": TINY["text_config"]
    | {"hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 20},
}
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = [
    *[("p", "h"), ("ph", "o"), ("t", "o</w>"), ("pho", "to</w>"), ("o", "f</w>")],
    *[("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")],
]


def build_tokenizer(*, end_first: bool) -> Tokenizer:
    """A byte-level BPE of 523 tokens that writes end-of-word like CLIP's.

    CLIP's end token has the largest id of all; `end_first` builds a tokenizer in which it has not.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(m) for m in MERGES)]
    vocabulary = [START, END, *words] if end_first else [*words, START, END]
    ids = {token: index for index, token in enumerate(vocabulary)}
    bpe = models.BPE(ids, MERGES, unk_token=END, end_of_word_suffix="</w>")
    tokenizer = Tokenizer(bpe)
    tokenizer.add_special_tokens([START, END])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = Regex(r"'s|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, ids[END]), (START, ids[START]), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def build_siglip_tokenizer() -> Tokenizer:
    """A unigram model with the special tokens of SigLIP's; it cleans nothing."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *map(chr, range(33, 127)), "▁cat", "▁dog", "photo"]
    scores = [-float(len(pieces) - index) for index in range(len(pieces))]  # later ones win
    unigram = models.Unigram(list(zip(pieces, scores, strict=True)), unk_id=2)
    tokenizer = Tokenizer(unigram)
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def build_siglip2_tokenizer() -> Tokenizer:
    """A BPE with the special tokens and the byte fallback of Gemma's; it cleans nothing."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    merges = [("▁", "c"), ("▁c", "a"), ("▁ca", "t"), ("p", "h"), ("ph", "o"), ("▁", "▁")]
    letters = ["▁", *map(chr, range(33, 127))]
    words = [
        *special,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *letters,
        *map("".join, merges),
    ]
    ids = {word: index for index, word in enumerate(words)}
    bpe = models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.add_special_tokens(special)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    return tokenizer


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tokenizer]:
    """Tokenizers by the place of their end token in the vocabulary: last as in CLIP, or second."""
    return {"last": build_tokenizer(end_first=False), "second": build_tokenizer(end_first=True)}


@pytest.fixture(scope="session")
def siglip_tokenizers() -> dict[str, Tokenizer]:
    """Tokenizers by the generation of SigLIP that they are like."""
    return {"siglip": build_siglip_tokenizer(), "siglip2": build_siglip2_tokenizer()}


@pytest.fixture(scope="session")
def save_clip(tokenizers: dict[str, Tokenizer]) -> SaveClip:
    """Return a function that saves a random CLIPModel and its tokenizer, and returns the model."""
    from transformers import CLIPConfig, CLIPModel

    def save(
        directory: Path, shape: dict[str, Any] = TINY, *, end: str = "last", **text: Any
    ) -> CLIPModel:
        tokenizer = tokenizers[end]
        ends = {
            "vocab_size": tokenizer.get_vocab_size(),
            "bos_token_id": tokenizer.token_to_id(START),
            "eos_token_id": tokenizer.token_to_id(END),
        }
        model = CLIPModel(
            CLIPConfig(**(shape | {"text_config": shape["text_config"] | ends | text}))
        )
        _randomise(model)
        model.save_pretrained(directory)
        tokenizer.save(str(directory / "tokenizer.json"))
        return model.eval()

    return save


@pytest.fixture(scope="session")
def save_siglip(siglip_tokenizers: dict[str, Tokenizer]) -> SaveSiglip:
    """Return a function like that of `save_clip` for a SiglipModel; `like` names a tokenizer."""
    from transformers import SiglipConfig, SiglipModel

    def save(
        directory: Path, shape: dict[str, Any] = TINY_SIGLIP, *, like: str = "siglip", **text: Any
    ) -> SiglipModel:
        tokenizer = siglip_tokenizers[like]
        words = {"vocab_size": tokenizer.get_vocab_size()}
        model = SiglipModel(
            SiglipConfig(**(shape | {"text_config": shape["text_config"] | words | text}))
        )
        _randomise(model)
        model.save_pretrained(directory)
        tokenizer.save(str(directory / "tokenizer.json"))
        return model.eval()

    return save


def _randomise(model: torch.nn.Module) -> None:
    """Give every tensor, biases and norms too, a spread in which mistakes show."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "logit_scale":
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
