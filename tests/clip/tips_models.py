"""Random TIPSv2s of `transformers`, saved to folders, and a tokenizer in their manner."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import Tipsv2Config, Tipsv2Model
from transformers.models.tipsv2.tokenization_tipsv2 import Tipsv2Tokenizer

TINY: dict[str, Any] = {
    "vision_config": {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "mlp_ratio": 3.0,
        "image_size": 32,
        "patch_size": 8,
    },
    "text_config": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 20,
    },
}
_LETTERS = ["▁", *map(chr, range(33, 127))]
_MERGED = ["▁c", "▁ca", "▁cat", "▁d", "og", "▁dog", "ph", "pho", "▁a"]
PIECES = [
    *["<pad>", "<unk>"],
    *(f"<0x{byte:02X}>" for byte in range(256)),
    *_MERGED,
    *_LETTERS,
]


def tokenizer_like_theirs() -> Tipsv2Tokenizer:
    """A BPE of 362 pieces with the padding and the byte fallback of TIPSv2's."""
    ids = {piece: index for index, piece in enumerate(PIECES)}
    merges = [
        (piece[:end], piece[end:])
        for piece in _MERGED
        for end in range(1, len(piece))
        if piece[:end] in ids and piece[end:] in ids
    ]
    return Tipsv2Tokenizer(vocab=ids, merges=merges)


def save_tips(directory: Path, shape: dict[str, Any] = TINY, **vision: Any) -> Tipsv2Model:
    """Save a random model and its tokenizer, and return the model."""
    shape = copy.deepcopy(shape)
    shape["vision_config"] |= vision
    shape["text_config"].setdefault("vocab_size", len(PIECES))
    model = Tipsv2Model(Tipsv2Config(**shape))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim():
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(directory)
    tokenizer_like_theirs().backend_tokenizer.save(str(directory / "tokenizer.json"))
    return model.eval()
