"""Names in legends: different ones stay different, whatever letters the font has."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.formats import open_sinks
from lhtclip.formats.sink import OutputOptions
from lhtclip.output.legend_names import legend_names, lost_names, open_font
from lhtclip.output.overlay import add_legend
from lhtclip.text.vocabulary import Vocabulary

NAMES = ["Straße", "日本 car", "中国 car", "狗", "пицца", "café", "cafe", "Łódź", "a\nb", "x" * 200]
ASCII = [
    *("Strasse", "car (class 1)", "car (class 2)", "class 3", "class 4"),
    *("cafe (class 5)", "cafe (class 6)", "Lodz", "a b", "x" * 45 + "... (class 9)"),
]


@pytest.fixture(scope="module")
def dejavu() -> str:
    matplotlib = pytest.importorskip("matplotlib")
    return str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")


def test_pillows_own_font_has_ascii() -> None:
    font = open_font(None, 13)
    assert legend_names(range(len(NAMES)), NAMES, font) == ASCII
    assert lost_names(NAMES, font) == ["日本 car", "中国 car", "狗", "пицца"]


def test_a_font_of_ones_own_has_more(dejavu: str) -> None:
    font = open_font(dejavu, 13)
    shown = legend_names(range(len(NAMES)), NAMES, font)
    assert shown[:8] == ["Straße", *ASCII[1:4], "пицца", "café", "cafe", "Łódź"]
    assert lost_names(NAMES, font) == ["日本 car", "中国 car", "狗"]


@pytest.mark.parametrize(
    "names",
    [
        ["A", "a", "Ä", "ä", "A (class 0)"],
        ["class 2", "road", "狗", "狗猫", "class 3"],
        ["café", "cafe\u0301", "cafe"],
        ["a b", "a\nb", "a\u200bb", "ab", "\u202eab"],
    ],
)
def test_names_that_look_alike_stay_different(names: list[str], dejavu: str) -> None:
    for font in (None, dejavu):
        shown = legend_names(range(len(names)), names, open_font(font, 13))
        assert len({unicodedata.normalize("NFC", name) for name in shown}) == len(names)


def test_every_legend_can_be_drawn(dejavu: str) -> None:
    for font in (None, dejavu):
        colours = np.zeros((len(NAMES), 3), np.uint8)
        sheet = add_legend(Image.new("RGB", (90, 60)), range(len(NAMES)), NAMES, colours, font=font)
        assert sheet.width < 1000


@pytest.mark.parametrize("font", [__file__, "nowhere.ttf", "/dev/null"])
def test_what_is_no_font_is_named_before_any_work(font: str) -> None:
    with pytest.raises(InputError, match=r"the font .*\.ttf or \.otf"):
        open_sinks("overlay", Vocabulary.of(["car", "road"]), OutputOptions(font=font))


def test_what_a_legend_cannot_say_is_told(caplog: pytest.LogCaptureFixture, dejavu: str) -> None:
    vocabulary = Vocabulary.of(["пицца", "road"])
    open_sinks("overlay", vocabulary, OutputOptions(font=dejavu))
    assert not caplog.records
    open_sinks("overlay", vocabulary, OutputOptions())
    assert "пицца" in caplog.text
    assert "--font" in caplog.text
