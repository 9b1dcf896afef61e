"""Class names that an English text tower does not know are warned of, once."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.languages import is_english, language_of, warning_about
from lhtclip.text.vocabulary import SHIPPED_CLASS_LISTS, shipped_classes


@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("собака", "Cyrillic"),
        ("狗", "Chinese"),
        ("σκύλος", "Greek"),
        ("강아지", "Korean"),
        ("いぬ", "Japanese"),
        ("バス", "Japanese"),
        ("كلب", "Arabic"),
        ("Straße", "German"),
        ("ein HUND", "German"),
        ("árbol", "Spanish"),
        ("voiture", "French"),
        ("albero", "Italian"),
        ("cachorro", "Portuguese"),
        ("fiets", "Dutch"),
    ],
)
def test_languages_are_recognised(prompt: str, language: str) -> None:
    assert language_of(prompt) == language


@pytest.mark.parametrize(
    "prompt",
    ["dog", "café", "façade", "π meson", "T恤 shirt", "747", "🐶", "", "jalapeño", "über-car"],
)
def test_english_is_left_alone(prompt: str) -> None:
    assert language_of(prompt) is None


@pytest.mark.parametrize("name", SHIPPED_CLASS_LISTS)
def test_published_lists_are_english(name: str) -> None:
    assert warning_about(prompt for row in shipped_classes(name) for prompt in row) is None


def test_an_encoder_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    encoder = TextEncoder.of(load_checkpoint("bundled"), templates="plain", cache=False)
    with caplog.at_level(logging.WARNING, "lhtclip"):
        encoder.encode(["dog", "sun"])
        assert caplog.records == []
        encoder.encode(["dog", "Katze"])
        encoder.encode(["собака"])
    (record,) = caplog.records
    for part in ("'Katze' looks German", "64 % in German", "ViT-B-16-siglip2"):
        assert part in record.getMessage()


def test_a_large_vocabulary_has_many_languages() -> None:
    assert not is_english(cast("Any", SimpleNamespace(largest=256_000)))
    assert is_english(cast("Any", SimpleNamespace(largest=49_407, knows=lambda _: False)))
