"""Figures show what was measured, and the same figure gives the same files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("matplotlib")

from lhtclip.analysis import figures
from lhtclip.analysis.figures import save_figure
from lhtclip.analysis.figures_survey import heads_figure, layers_figure
from lhtclip.analysis.figures_tokens import tokens_figure
from lhtclip.analysis.pairs import Estimate
from lhtclip.analysis.published import VIT_B16, published_curves
from lhtclip.analysis.survey import Survey
from lhtclip.analysis.tokens import Channel, Kind, LayerTokens, TokenStatistics
from lhtclip.errors import MissingDependencyError

AUCS = {1: 0.6, 2: 0.7, 3: 0.9, 4: 0.8}


def estimates(aucs: Mapping[int, float], *, margin: float = 0.02) -> dict[int, Estimate]:
    return {key: Estimate(auc, auc - margin, auc + margin, 9, 9) for key, auc in aucs.items()}


def survey(*, alignment: bool = True) -> Survey:
    heads = {
        (layer, head): Estimate(auc + head / 100, math.nan, math.nan, 9, 9)
        for layer, auc in AUCS.items()
        for head in (1, 2, 3)
    }
    return Survey(estimates(AUCS), heads, {1: 0.1, 2: 0.2, 3: 0.4} if alignment else {})


def statistics(*, abnormal: int) -> TokenStatistics:
    few = math.nan
    layer = LayerTokens(
        layer=1,
        mean=0.2,
        highest=0.8,
        histogram=(0,) * 200 + (96,) + (0,) * 599 + (4,) + (0,) * 199,
        positions=((0.2, 0.3), (0.2, 0.25)),
        abnormal_positions=((0.0, 0.1), (0.0, 0.0)),
        abnormal=Kind(abnormal, 40.0, 5.0, 0.9, 0.9) if abnormal else Kind(0, few, few, few, few),
        normal=Kind(96, 10.0, 0.9, 0.4, 0.3),
        surrounded=0.0,
        channels=(Channel(3, 1.0, 30.0, 1.0),) if abnormal else (),
    )
    similarity = ((0.9, 0.8), (0.8, 0.9)) if abnormal else ((few, few), (few, few))
    return TokenStatistics((layer, replace(layer, layer=2)), similarity, (0,))


def test_layers_are_drawn_with_their_bands_and_the_published_ones() -> None:
    surveys = {"CLIP": survey(), "CLIP + SSR": survey()}
    figure = layers_figure(
        surveys, reweighted=(3,), published=published_curves(VIT_B16, "context59")
    )
    left, right = figure.axes
    assert list(left.lines[0].get_xdata()) == list(AUCS)
    assert list(left.lines[0].get_ydata()) == list(AUCS.values())
    assert list(right.lines[0].get_ydata()) == [0.1, 0.2, 0.4]
    names = [text.get_text() for text in left.get_legend().get_texts()]
    assert names == ["CLIP", "CLIP + SSR", "paper, Context"]
    assert len({line.get_marker() for line in left.lines[:2]}) == 2  # told apart in grey
    assert len(left.collections) == 2


def test_without_words_there_is_one_panel() -> None:
    assert len(layers_figure({"CLIP": survey(alignment=False)}).axes) == 1


def test_heads_are_bars_best_first_with_a_hatch_a_layer() -> None:
    measured = survey()
    (axes,) = heads_figure(measured.heads, layers=measured.layers).axes
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names[:4] == ["3-3", "3-2", "3-1", "4-3"]
    assert len(names) == 12
    bars = {round(bar.get_x() + bar.get_width() / 2): bar for bar in axes.patches}
    assert [bars[place].get_height() for place in (0, 3)] == pytest.approx([0.93, 0.83])
    assert len({bars[place].get_hatch() for place in (0, 3, 6, 9)}) == 4
    line = next(line for line in axes.lines if line.get_linestyle() == "--")
    assert line.get_ydata()[0] == 0.9


def test_more_heads_than_fit_are_left_out_and_the_title_says_so() -> None:
    measured = survey()
    (axes,) = heads_figure(measured.heads, layers=measured.layers, most=5).axes
    assert len(axes.get_xticks()) == 5
    assert "first 5 of 12 heads" in axes.get_title(loc="left")


def test_tokens_have_a_second_row_where_there_are_abnormal_ones() -> None:
    def titles(abnormal: int) -> list[str]:
        figure = tokens_figure(statistics(abnormal=abnormal), threshold=0.5, gap=0.4)
        return [title for axes in figure.axes if (title := axes.get_title(loc="left"))]

    assert len(titles(0)) == 3
    assert len(titles(4)) == 6
    assert titles(4)[1] == "Tokens by Hoyer score, layer 1"  # the one that enters the last block


def test_files_are_whole_pictures_and_always_the_same(tmp_path: Path) -> None:
    contents: list[list[bytes]] = []
    for folder in ("one", "two"):
        figure = layers_figure({"CLIP": survey(alignment=False)})
        files = save_figure(figure, tmp_path / folder / "scenes.layers")
        assert [file.name for file in files] == ["scenes.layers.png", "scenes.layers.svg"]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    with Image.open(tmp_path / "one" / "scenes.layers.png") as picture:
        assert picture.width > 400
    assert contents[0][1].lstrip().startswith(b"<?xml")


def test_without_matplotlib_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "can_draw", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lhtclip\[analysis\]'"):
        layers_figure({"CLIP": survey()})


def test_a_figure_leaves_the_settings_of_matplotlib_alone() -> None:
    import matplotlib as mpl

    before = mpl.rcParams["font.size"], mpl.rcParams["axes.grid"]
    layers_figure({"CLIP": survey()})
    assert (mpl.rcParams["font.size"], mpl.rcParams["axes.grid"]) == before
