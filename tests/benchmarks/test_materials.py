"""What is measured on is what it is said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.folder import SIZES, count_windows
from benchmarks.materials import (
    ABNORMAL_SHARE,
    abnormal_share,
    checkpoint_of,
    known_texts,
    photo,
    put_abnormal_tokens,
    save_photo,
    write_tokenizer,
)
from benchmarks.text import spaced
from benchmarks.tower import transformers_tower
from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.paper.random_weights import SHAPES, random_clip
from lhtclip.text.templates import fill, resolve_templates
from lhtclip.text.vocabulary import shipped_classes
from tests.models import tiny_clip, tiny_pixels

CPU = torch.device("cpu")


@torch.inference_mode()
def test_some_tokens_of_random_weights_are_abnormal(monkeypatch: pytest.MonkeyPatch) -> None:
    vision = VisionConfig(256, 1024, 12, 4, 224, 16)
    text = TextConfig(vocab_size=100, hidden_size=64, num_hidden_layers=1)
    monkeypatch.setitem(SHAPES, "narrow", ClipConfig(vision, text))
    model = random_clip("narrow")
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert abnormal_share(model, pixels) == 0
    put_abnormal_tokens(model)
    assert abnormal_share(model, pixels) == pytest.approx(ABNORMAL_SHARE, abs=0.01)


@torch.inference_mode()
def test_transformers_tower_has_the_same_weights() -> None:
    model, pixels = tiny_clip(), tiny_pixels(2, 32, 32)
    theirs = transformers_tower(model)(pixel_values=pixels).image_embeds
    torch.testing.assert_close(theirs, model.vision(pixels), rtol=0, atol=1e-4)


def test_prompts_are_about_as_long_as_their_words(tmp_path: Path) -> None:
    tokenizer = Tokenizer(write_tokenizer(tmp_path / "t.json", end=49407), context_length=77)
    assert tokenizer.end == 49407
    templates = resolve_templates("imagenet80")
    names = [words[0] for words in shipped_classes("coco_stuff171")][::10]
    rows = tokenizer.encode([fill(template, name) for name in names for template in templates])
    assert {row[0] for row in rows} == {49406}
    assert max(map(max, rows)) == 49407
    assert 8 <= np.mean([len(row) for row in rows]) <= 13
    assert len({tuple(row) for row in rows}) > 0.9 * len(rows)


def test_known_texts_never_run_the_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = checkpoint_of("bundled", folder=tmp_path, dtype=torch.float32, device=CPU)
    queries = [f"word {number}" for number in range(20)]
    texts = known_texts(checkpoint, queries, tmp_path)
    monkeypatch.setattr("lhtclip.text.embeddings.encode_queries", None)
    embeddings = texts.encode(queries)
    assert embeddings.shape == (20, checkpoint.model.config.projection_dim)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(20))
    assert embeddings.unique(dim=0).shape == embeddings.shape


def test_photos_are_as_large_as_photos(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "new" / "a.jpg", 375, 500)
    with Image.open(path) as picture:
        assert picture.size == (500, 375)
    assert 20_000 < path.stat().st_size < 200_000
    assert (photo(40, 60, seed=1) != photo(40, 60, seed=2)).any()
    np.testing.assert_array_equal(photo(40, 60), photo(40, 60))


def test_windows_of_photos() -> None:
    assert [count_windows(size) for size in SIZES[:3]] == [6, 8, 6]


def test_spaced() -> None:
    assert spaced("abcdefgh", 4) == ["a", "c", "e", "g"]
    assert spaced("abc", 9) == ["a", "b", "c"]
