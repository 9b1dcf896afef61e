"""The paper's tables: numbers that add up, and settings for towers of any depth."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lhtclip.paper.markdown import table_on_scenes
from lhtclip.paper.reproduce import Measured, Missing, protocol_of, reference_of, settings_of
from lhtclip.paper.tables import ATR, COLUMNS, EIGHT, PRESET, SHE, SSR, STACK, TABLE1, TABLES, Row
from lhtclip.techniques.presets import PRESETS, Preset
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.ssr import SsrSettings

B16 = PRESETS["openai/clip-vit-base-patch16"]


def titled(title: str, table: Sequence[Row]) -> Row:
    (row,) = (row for row in table if row.title == title)
    return row


def settings(row: Row, preset: Preset = B16) -> LhtSettings | Missing:
    return settings_of(row, preset, depth=12, heads=12)


@pytest.mark.parametrize("name", TABLES)
def test_published_averages_are_those_of_the_columns(name: str) -> None:
    complete = 0
    for row in TABLES[name]:
        numbers = [row.published.get(column) for column in COLUMNS[name]]
        known = [number for number in numbers if number is not None]
        assert len(known) in (0, len(numbers)), row.title
        if known:
            complete += 1
            if row.title == "k = 1":  # 35.6 by its columns: the paper's own average is off
                continue
            assert row.average == pytest.approx(sum(known) / len(known), abs=0.11), row.title
    assert complete >= (1 if name == "stack" else 3)


@pytest.mark.parametrize("name", TABLES)
def test_titles_name_one_row(name: str) -> None:
    titles = [row.title for row in TABLES[name]]
    assert len(set(titles)) == len(titles)


def test_rows_of_vit_b16_are_the_papers() -> None:
    assert settings(titled("SCLIP", TABLE1)) == OFF
    assert settings(titled("SCLIP + LHT", TABLE1)) == B16.select(lht=True)
    two = settings(titled("2 layers, α = 0.05", SSR))
    assert two == LhtSettings(ssr=SsrSettings(layers=(10, 11), alpha=0.05))
    three = settings(titled("3 layers, α = 0.1", SSR))
    assert three == LhtSettings(ssr=SsrSettings(layers=(9, 10, 11), alpha=0.1))
    fixed = settings(titled("τ = 0.8", ATR))
    assert isinstance(fixed, LhtSettings)
    assert fixed.atr
    assert fixed.atr.threshold == 0.8
    assert (fixed.ssr, fixed.she) == (None, None)
    judged = settings(titled("by abnormal channels", ATR))
    assert judged == LhtSettings(atr=B16.atr_by("channels"))
    unknown = settings(titled("by abnormal channels", ATR), Preset(SsrSettings((10, 11)), "a test"))
    assert isinstance(unknown, Missing)
    assert "no abnormal channels" in unknown.reason


def test_heads_are_taken_from_the_ranking() -> None:
    ten = settings(titled("k = 10", SHE))
    assert isinstance(ten, LhtSettings)
    assert ten.she
    assert ten.she.heads == B16.ranking[:10]
    assert ten.atr == B16.atr
    layer = settings(titled("all heads of layer 8 of 12", SHE))
    assert isinstance(layer, LhtSettings)
    assert layer.she
    assert layer.she.heads == tuple((8, head) for head in range(1, 13))


def test_what_cannot_be_measured_says_why() -> None:
    thirty = settings(titled("k = 30", SHE))
    assert thirty == Missing("the checkpoint's preset ranks only 17 heads")
    nobody = settings(titled("k = 1", SHE), PRESETS["openai/clip-vit-large-patch14"])
    assert isinstance(nobody, Missing)
    assert "calibrate" in nobody.reason
    shallow = settings_of(titled("4 layers, α = 0.1", SSR), B16, depth=4, heads=2)
    assert isinstance(shallow, Missing)
    assert "3 layers" in shallow.reason


def test_resclip_has_its_own_protocol() -> None:
    for row in TABLE1:
        protocol = protocol_of(row, "voc21")
        assert protocol.publication == ("resclip" if row.method == "resclip" else "lht")


def test_gains_are_counted_from_the_host_or_the_first_row() -> None:
    reference = reference_of(titled("ClearCLIP + LHT", TABLE1), TABLE1)
    assert reference is titled("ClearCLIP", TABLE1)
    assert reference_of(titled("ClearCLIP", TABLE1), TABLE1) is None
    assert reference_of(ATR[3], ATR) is ATR[0]
    assert reference_of(ATR[0], ATR) is None


def test_every_lht_row_has_its_host() -> None:
    for row in TABLE1:
        if row.ssr == PRESET:
            host = reference_of(row, TABLE1)
            assert host
            assert host.method == row.method
    assert [row.method for row in TABLE1 if row.ssr == PRESET and row.published] == [
        "sclip",
        "clearclip",
        "resclip",
    ]
    assert len(EIGHT) == 8


def test_the_stack_says_what_its_rows_cost() -> None:
    first, second, third = STACK[:3]
    rows = [
        Measured(first, {"scenes": 40.0}, {"scenes": 0.5}),
        Measured(second, {"scenes": 41.0}, {"scenes": 1.0}),
        Measured(third, {"scenes": Missing("no reason")}),
    ]
    lines = table_on_scenes("stack", rows, "scenes").splitlines()
    assert lines[2].endswith("| paper's gain | time |")
    assert [line.split("|")[-2].strip() for line in lines[4:7]] == ["× 1.0", "× 2.0", "-"]
    clip = [Measured(TABLE1[0], {"scenes": 1.0}, {"scenes": 1.0})]
    assert "time" not in table_on_scenes("table1", clip, "scenes")
