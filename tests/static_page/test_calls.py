"""The calls that the page offers for copying: both label with the settings that the page shows."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

import pytest

from lhtclip import Segmenter, SegmenterConfig, Vocabulary
from lhtclip.cli.load import config_of
from lhtclip.cli.options import vocabulary_of
from lhtclip.cli.segment import command

SCRIPT = """
import { asCommand, asPython } from "./page/calls.js";
const { state, words, question } = data;
const calls = [asCommand, asPython].map((call) => call(state, { all: words }, question));
console.log(JSON.stringify(calls));
"""
PLAIN = {
    "refine": "none",
    "prior": 0,
    "flip": False,
    "shifts": 1,
    "short_side": [336],
    "joint": False,
    "calibrate_texts": False,
    "aliases": "none",
}
ALL = {
    "refine": "tlp",
    "prior": -0.3,
    "flip": True,
    "shifts": 2,
    "short_side": [336, 448],
    "joint": True,
    "calibrate_texts": True,
    "aliases": "common",
}
ON = {"ssr": True, "atr": True, "she": True}


def by_command(text: str) -> tuple[str, SegmenterConfig, Vocabulary]:
    words = shlex.split(text)
    assert words[:2] == ["lhtclip", "segment"]
    given = command.make_context("segment", words[2:]).params
    names = ("background", "threshold", "aliases")
    vocabulary = vocabulary_of(
        given["classes"], given["classes_file"], **{name: given[name] for name in names}
    )
    return given["images"][0], config_of(given), vocabulary


def by_python(text: str, patch: pytest.MonkeyPatch) -> tuple[str, SegmenterConfig, Vocabulary]:
    seen: dict[str, Any] = {}

    def segment(image: str, classes: Any, **more: Any) -> Any:
        seen.update(image=image, threshold=more.get("threshold", 0.0))
        seen["vocabulary"] = Vocabulary.of(classes, **more)
        return SimpleNamespace(save=lambda path: None)  # pyright: ignore[reportUnknownLambdaType]

    def from_config(config: SegmenterConfig) -> Any:
        seen["config"] = config
        return SimpleNamespace(segment=segment)

    patch.setattr(Segmenter, "from_config", from_config)
    exec(text, {})
    return seen["image"], seen["config"], seen["vocabulary"]


@pytest.mark.parametrize(
    "more",
    [
        {"gains": PLAIN},
        {},
        {"gains": ALL, "background": "wall|sky", "lht": ON | {"atr": False}},
        {"lht": ON | {"she": False, "atr": "channels"}},
        {"gains": PLAIN | {"refine": "pamr", "aliases": "given"}, "background": "auto"},
        {"gains": PLAIN | {"short_side": [448]}, "lht": dict.fromkeys(ON, False)},
    ],
)
def test_both_calls_do_the_same(
    run_js: Any, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    question: dict[str, Any] = {
        "method": "naclip",
        "lht": ON,
        "background": None,
        "threshold": None,
        **more,
    }
    data = {
        "state": {"model": "bundled", "name": "it's.png"},
        "words": ["car|auto", "dog"],
        "question": question,
    }
    one, other = run_js(SCRIPT, data)
    image, config, vocabulary = by_command(one)
    assert by_python(other, monkeypatch) == (image, config, vocabulary)
    assert (image, config.method) == ("it's.png", "naclip")
    gains = question.get("gains", PLAIN)
    assert list(config.windows.short_sides) == gains["short_side"]
    assert (config.windows.shifts, config.windows.joint) == (gains["shifts"], gains["joint"])
    assert config.decoding.prior == gains["prior"]
    assert (config.decoding.ptc is not None) is gains["calibrate_texts"]
    assert (config.decoding.aliases is None) is (gains["aliases"] == "none")
