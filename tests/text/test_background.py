"""Words for the background: chosen for things, refused for stuff, and the best of them counts."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from lhtclip import Vocabulary
from lhtclip.decoding.decode import decode
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.image.windows import plan_windows
from lhtclip.text import background as module
from lhtclip.text.background import WORDS, background_words, is_stuff
from lhtclip.text.vocabulary import shipped_classes


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> None:
    module.say_once.cache_clear()


def prompts_of(name: str, *, skip: int) -> list[str]:
    return [prompt for row in shipped_classes(name)[skip:] for prompt in row]


def test_things_get_the_published_words() -> None:
    assert tuple(shipped_classes("voc21")[0]) == WORDS
    assert background_words(prompts_of("voc21", skip=1)) == WORDS
    vocabulary = Vocabulary.of("dog, car|truck", background="auto")
    assert vocabulary.queries == (*WORDS, "dog", "car", "truck")
    assert vocabulary.background == 0


def test_words_that_a_class_is_about_are_left_out() -> None:
    chosen = background_words(prompts_of("coco_object", skip=1))
    assert set(WORDS) - set(chosen) == {"bed"}
    chosen = background_words(["Desk Lamp", "windows", "wooden shelf"])
    assert set(WORDS) - set(chosen) == {"desk", "lamp", "window", "shelf"}


@pytest.mark.parametrize("name", ["context59", "ade20k", "cityscapes", "coco_stuff171"])
def test_stuff_gets_the_plain_word(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lhtclip"):
        assert background_words(prompts_of(name, skip=0)) == ("background",)
    assert "The classes name stuff" in caplog.text


def test_the_plain_word_is_advised_against_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lhtclip"):
        for _ in range(2):
            Vocabulary.of("dog, cat", background="background")
            Vocabulary.of("dog, grass", background="background")
            Vocabulary.of("dog, cat", background="background|sky")
    (record,) = caplog.records
    assert "'auto' chooses words" in record.getMessage()


def test_a_class_called_background_is_advised_against(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lhtclip"):
        Vocabulary.of("background, grass")
        Vocabulary.of("Background|wall, dog")
        Vocabulary.of("dog, cat, background", allow_shared_queries=True)
        protocol_for("voc21", "clearclip").vocabulary()
        assert caplog.records == []
        assert Vocabulary.of("dog, cat, Background").names == ("dog", "cat", "Background")
    assert "takes the place of a class 'background'" in caplog.text


def test_the_last_word_decides_what_is_stuff() -> None:
    assert is_stuff("brick wall")
    assert is_stuff("Green Trees")
    assert is_stuff("clouds")
    assert not is_stuff("wall clock")
    assert not is_stuff("tree frog")
    things = prompts_of("voc20", skip=0) + prompts_of("coco_object", skip=1)
    assert [prompt for prompt in things if is_stuff(prompt)] == []


def test_a_list_with_the_word_is_taken_as_it_is() -> None:
    assert Vocabulary.of("dog", background=["auto"]).queries == ("auto", "dog")


def test_the_best_word_counts_never_the_mean() -> None:
    """One word of many fits: the mean over all of them would lose to the class."""
    vocabulary = Vocabulary.of("dog", background="auto")
    cosines = torch.full((1, 1, 2, 2, len(vocabulary.queries)), 0.10)
    cosines[..., -1] = 0.25
    cosines[..., 3] = 0.30
    plan = plan_windows(32, 32, window=None, stride=1)
    labels, _ = decode(cosines, plan, (8, 8), vocabulary.class_of_query, 2, DecodeSettings())
    assert np.array_equal(labels, np.zeros((8, 8)))
    assert cosines[..., :-1].mean() < 0.25
