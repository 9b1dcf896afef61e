"""Presets: what fits which checkpoint, and which techniques are chosen from it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lhtclip.errors import CheckpointError, InputError
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import PRESET_FILE, PRESETS, Preset, preset_by_depth, preset_for
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings

BASE = PRESETS["openai/clip-vit-base-patch16"]
LARGE = PRESETS["openai/clip-vit-large-patch14"]


# The table


def test_base_16() -> None:
    assert BASE.atr == AtrSettings(threshold=0.5)
    assert BASE.ssr == SsrSettings(layers=(10, 11), alpha=0.1)
    assert BASE.she is not None
    heads = " ".join(f"{layer}-{head}" for layer, head in BASE.she.heads)
    assert heads == "6-11 8-12 6-1 6-10 6-3 7-8 6-2 6-9 7-6 7-12"


def test_large_14() -> None:
    assert LARGE.atr == AtrSettings(threshold=0.5)
    assert LARGE.ssr == SsrSettings(layers=(20, 21, 22, 23), alpha=0.1)
    assert LARGE.she is None


@pytest.mark.parametrize("preset", [*PRESETS.values(), preset_by_depth(12)])
def test_every_preset_says_where_it_comes_from(preset: Preset) -> None:
    assert "arXiv 2510.23894" in preset.source


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (12, (10, 11)),
        (24, (20, 21, 22, 23)),
        (32, (27, 28, 29, 30, 31)),
        (6, (5,)),
        (5, (4,)),
        (2, (1,)),
        (1, ()),
    ],
)
def test_layers_by_depth(layers: int, expected: tuple[int, ...]) -> None:
    preset = preset_by_depth(layers)
    assert preset.ssr == SsrSettings(layers=expected)
    assert preset.atr == AtrSettings()
    assert preset.she is None


# Finding one


def test_own_file_wins_over_the_table_and_the_table_over_depth(tmp_path: Path) -> None:
    name = "openai/clip-vit-base-patch16"
    assert preset_for(name, tmp_path, layers=12) == BASE
    assert preset_for("somebody/else", tmp_path, layers=12) == preset_by_depth(12)
    own = Preset(ssr=SsrSettings(layers=(3,)), source="mine")
    own.save(tmp_path / PRESET_FILE)
    assert PRESET_FILE == "lht.json"
    assert preset_for(name, tmp_path, layers=12) == own


# Choosing


OWN_SSR, OWN_ATR = SsrSettings(layers=(2,)), AtrSettings(threshold=0.3)
OWN_SHE = SheSettings(heads=((1, 1),))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"lht": True}, LhtSettings(BASE.ssr, BASE.atr, BASE.she)),
        ({"lht": False}, OFF),
        ({"lht": True, "ssr": False}, LhtSettings(None, BASE.atr, BASE.she)),
        ({"lht": True, "atr": False, "she": False}, LhtSettings(BASE.ssr, None, None)),
        ({"lht": False, "atr": True}, LhtSettings(None, BASE.atr, None)),
        ({"lht": False, "she": True}, LhtSettings(None, None, BASE.she)),
        ({"lht": True, "ssr": OWN_SSR}, LhtSettings(OWN_SSR, BASE.atr, BASE.she)),
        ({"lht": False, "atr": OWN_ATR}, LhtSettings(None, OWN_ATR, None)),
        ({"lht": True, "she": OWN_SHE}, LhtSettings(BASE.ssr, BASE.atr, OWN_SHE)),
    ],
)
def test_select(asked: dict[str, Any], expected: LhtSettings) -> None:
    assert BASE.select(**asked) == expected


def test_without_ranking_lht_goes_on_with_two_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, logger="lhtclip"):
        assert LARGE.select(lht=True) == LhtSettings(LARGE.ssr, LARGE.atr, None)
    (record,) = caplog.records
    assert "no head ranking" in record.message
    assert "ATR and SSR, without SHE" in record.message


@pytest.mark.parametrize(
    "asked", [{"lht": False}, {"lht": True, "she": False}, {"lht": True, "she": OWN_SHE}]
)
def test_nothing_is_said_where_nothing_is_missing(
    asked: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    LARGE.select(**asked)
    BASE.select(lht=True)
    assert not caplog.records


def test_a_preset_may_leave_she_out_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    ranked = replace(LARGE, ranking=((1, 2), (3, 4)))
    assert ranked.select(lht=True) == LhtSettings(LARGE.ssr, LARGE.atr, None)
    assert not caplog.records


@pytest.mark.parametrize("lht", [True, False])
def test_she_by_name_needs_a_ranking(lht: bool) -> None:
    with pytest.raises(InputError, match=r"she=SheSettings\(heads=.*lht\.json.*switch SHE off"):
        LARGE.select(lht=lht, she=True)


# Files


@pytest.mark.parametrize(
    "preset",
    [
        BASE,
        LARGE,
        Preset(
            ssr=SsrSettings(layers=(), alpha=0.25),
            source="α, τ and σ are ours",
            atr=AtrSettings(0.4, 2.5, False, "zero"),
            she=SheSettings(((1, 2), (3, 4)), 0.1, "row", "residual", True, True),
            ranking=((1, 2), (3, 4), (2, 2)),
            made={
                "seed": 3,
                "heads": [0.75, 1e-9, -2],
                "steps": [{"α": None}],
                "text": "[\n1,  2]",
            },
        ),
    ],
)
def test_file_round_trip(preset: Preset, tmp_path: Path) -> None:
    path = tmp_path / "folder" / PRESET_FILE
    assert preset.save(path) == path
    assert Preset.load(path) == preset


def test_a_file_can_be_read_by_people(tmp_path: Path) -> None:
    preset = Preset(SsrSettings((2, 3)), "by hand", she=SheSettings(((1, 2), (3, 4))))
    lines = preset.save(tmp_path / PRESET_FILE).read_text().splitlines()
    assert '  "ssr": {"layers": [2, 3], "alpha": 0.1},' in lines
    assert any('"heads": [[1, 2], [3, 4]]' in line for line in lines)


def test_short_file(tmp_path: Path) -> None:
    path = tmp_path / PRESET_FILE
    path.write_text('{"source": "by hand", "ssr": {"layers": [2, 3]}}')
    assert Preset.load(path) == Preset(ssr=SsrSettings(layers=(2, 3)), source="by hand")
    path.write_text(
        '{"source": "by hand", "ssr": {"layers": [2]}, "she": {"heads": [[1, 3]], "beta": 0.1}}'
    )
    assert Preset.load(path).she == SheSettings(heads=((1, 3),), beta=0.1)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read the preset .*lht\.json: No such file"):
        Preset.load(tmp_path / PRESET_FILE)


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / PRESET_FILE
    for content in (b"layers: 3", b"", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"lht\.json is not JSON"):
            Preset.load(path)


GOOD: dict[str, Any] = {"source": "by hand", "ssr": {"layers": [2]}}


@pytest.mark.parametrize(
    "content",
    [
        [],
        "SSR",
        {"source": "by hand"},  # no SSR
        {"ssr": {"layers": [2]}},  # no source
        GOOD | {"ssr": {"alpha": 0.1}},  # no layers
        GOOD | {"ssr": {"layers": 2}},
        GOOD | {"ssr": {"layers": [2], "beta": 1}},
        GOOD | {"atr": {"tau": 0.5}},
        GOOD | {"atr": {"sigma": 0}},
        GOOD | {"atr": {"surrounded": "drop"}},
        GOOD | {"she": {"beta": 0.4}},  # no heads
        GOOD | {"she": {"heads": []}},
        GOOD | {"she": {"heads": [6, 11]}},
        GOOD | {"she": {"heads": [[6, 11, 1]]}},
        GOOD | {"she": {"heads": [[6, 11]], "normalise": "columns"}},
        GOOD | {"she": {"heads": [[6, 11]], "beta": -1}},
        GOOD | {"she": {"heads": [[6, 11]], "beta": "0.4"}},
        GOOD | {"ssr": {"layers": ["10"]}},
        GOOD | {"ssr": {"layers": [2], "alpha": "0.1"}},
        GOOD | {"ssr": {"layers": [2], "alpha": 1}},
        GOOD | {"atr": {"threshold": None}},
        GOOD | {"ranking": [6, 11]},
        GOOD | {"made": "by hand"},
    ],
)
def test_not_a_preset(content: Any, tmp_path: Path) -> None:
    path = tmp_path / PRESET_FILE
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"lht\.json cannot be used .*layers"):
        Preset.load(path)
