"""Text embeddings of COCO-Stuff's names with a ViT-B/16-sized text tower, random weights.

`python -m benchmarks.text --names 24`: prompts cut at the longest of a batch, the same padded to
the context length of 77, and the second call from the disk cache.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from lhtclip.clip.config import TextConfig
from lhtclip.clip.text import TextTower
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.templates import fill, resolve_templates
from lhtclip.text_embeddings import TextEncoder
from lhtclip.vocabulary import shipped_classes

WIDTH = 512


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", type=int, default=171, help="how many of the 171 names")
    options = parser.parse_args()
    queries = [words[0] for words in shipped_classes("coco_stuff171")][: options.names]
    templates = resolve_templates("imagenet80")
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = _tokenizer(Path(folder) / "tokenizer.json", queries, templates)
        tower = _random_tower(tokenizer.end)
        _padded(tower, tokenizer, queries[:1], templates)  # warm-up
        padded, padded_seconds = _timed(lambda: _padded(tower, tokenizer, queries, templates))
        cut, cut_seconds = _timed(lambda: _encoder(tower, tokenizer, folder).encode(queries))
        again, cached_seconds = _timed(lambda: _encoder(tower, tokenizer, folder).encode(queries))
    print(
        json.dumps(
            {
                "names": len(queries),
                "templates": len(templates),
                "padded_seconds": round(padded_seconds, 2),
                "cut_seconds": round(cut_seconds, 2),
                "ratio": round(padded_seconds / cut_seconds, 2),
                "cached_seconds": round(cached_seconds, 4),
                "largest_difference": float((padded - cut).abs().max()),
                "cached_difference": float((again - cut).abs().max()),
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "machine": platform.machine(),
            }
        )
    )


def _encoder(tower: TextTower, tokenizer: Tokenizer, folder: str) -> TextEncoder:
    return TextEncoder(
        tower, tokenizer, fingerprint="random", width=WIDTH, cache=Path(folder) / "cache"
    )


@torch.inference_mode()
def _padded(
    tower: TextTower, tokenizer: Tokenizer, queries: list[str], templates: tuple[str, ...]
) -> Tensor:
    """Encode the usual way: one name at a time, 80 prompts padded to the context length."""
    length, end = tower.config.max_position_embeddings, tower.config.eos_token_id
    embeddings: list[Tensor] = []
    for query in queries:
        ids = tokenizer([fill(template, query) for template in templates])
        features = tower(F.pad(ids, (0, length - ids.shape[1]), value=end))
        embeddings.append(F.normalize(F.normalize(features, dim=-1).mean(dim=0), dim=-1))
    return torch.stack(embeddings)


def _tokenizer(path: Path, queries: list[str], templates: tuple[str, ...]) -> Tokenizer:
    """Train a BPE on the prompts: about as many tokens a prompt as CLIP's own."""
    raw = RawTokenizer(models.BPE())
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(vocab_size=4000, show_progress=False)
    raw.train_from_iterator([fill(t, q) for t in templates for q in queries], trainer)
    raw.add_special_tokens(["<start>", "<end>"])
    ids = [(token, raw.token_to_id(token)) for token in ("<start>", "<end>")]
    raw.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=ids
    )
    raw.save(str(path))
    return Tokenizer(path, context_length=TextConfig().max_position_embeddings)


def _random_tower(end: int) -> TextTower:
    torch.manual_seed(0)
    tower = TextTower(TextConfig(eos_token_id=end), WIDTH).eval()
    for parameter in tower.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return tower


def _timed(work: Callable[[], Tensor]) -> tuple[Tensor, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


if __name__ == "__main__":
    main()
