from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lhtclip.cli.analyze.run
from lhtclip.analysis.published import Tower
from lhtclip.datasets.scene_files import save_scenes
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.ssr import SsrSettings
from tests.cli.conftest import Outcome, Run


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Write three scenes of noise whose halves differ in class, and a little in light."""
    folder = tmp_path / "scenes"
    noise = np.random.default_rng(0)
    pictures = []
    for number in range(3):
        labels = np.zeros((64, 96), dtype=np.uint8)
        labels[:, 48:] = 1
        image = noise.integers(0, 200, (4, 6, 3)).astype(np.uint8)
        image[:, 3:] += 40
        image = image.repeat(16, axis=0).repeat(16, axis=1)
        classes = [["cat", "rider"], ["sky"]] if number else [["cat", "rider"], ["road"]]
        pictures.append((image, labels, classes))
    save_scenes(folder, pictures)
    return folder


@pytest.fixture
def analyze(lhtclip: Run, checkpoint: Path, scenes: Path) -> Run:
    """Run `lhtclip analyze` with the tiny model on the tiny scenes."""

    def run(measure: str, *arguments: object) -> Outcome:
        common = ("--root", scenes, "--model", checkpoint, "--dtype", "float32", "--batch", 2)
        words = ("--templates", "plain") if measure == "layers" else ()
        return lhtclip("analyze", measure, *common, *words, *arguments)

    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def document_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.mark.usefixtures("progress_shown")
def test_layers(analyze: Run, tmp_path: Path) -> None:
    outcome = analyze("layers")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split("  ")[0] == "layer"
    assert lines[1].split()[0] == "1"
    suffixes = ("csv", "json", "png", "svg")
    assert lines[3:] == [f"analysis/scenes.layers.{suffix}" for suffix in suffixes]
    assert re.search("images of scenes, with SSR.* 3/3 ", outcome.err)
    rows = rows_of(tmp_path / "analysis" / "scenes.layers.csv")
    assert [row["layer"] for row in rows] == ["1", "2"]
    assert rows[1]["alignment"] == ""  # no last block follows the last layer
    assert 0 <= float(rows[0]["low"]) <= float(rows[0]["discriminability"])
    document = document_of(tmp_path / "analysis" / "scenes.layers.json")
    assert document["layers"][1]["alignment"] is None
    assert document["images"] == 3
    assert document["ssr"]["layers"] == [1]
    assert document["layers"][0]["ssr_discriminability"] is not None
    assert document["versions"]["torch"]


def test_layers_without_ssr(analyze: Run) -> None:
    outcome = analyze("layers", "--no-ssr", "--no-figures", "--json", "--quiet")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.json["ssr"] is None
    assert "ssr_discriminability" not in outcome.json["layers"][0]


def test_layers_by_a_preset_and_a_seed(analyze: Run, tmp_path: Path) -> None:
    preset = Preset(ssr=SsrSettings(layers=(1,), alpha=0.0), source="a test")
    preset.save(tmp_path / "preset.json")
    options = ("--preset", tmp_path / "preset.json", "--limit", 2, "--seed", 3, "--no-figures")
    document = analyze("layers", *options, "--json").json
    assert document["preset"] == "a test"
    assert document["images"] == 2
    for row in document["layers"]:  # α = 0 changes nothing
        assert row["ssr_discriminability"] == row["discriminability"]
    assert analyze("layers", *options, "--json").json == document


def test_heads(analyze: Run, tmp_path: Path) -> None:
    outcome = analyze("heads", "--out", "found")
    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "found" / "scenes.heads.csv")
    assert len(rows) == 4
    aucs = [float(row["discriminability"]) for row in rows]
    assert aucs == sorted(aucs, reverse=True)
    assert {row["layer"]: row["candidate"] for row in rows} == {"1": "True", "2": "False"}
    printed = [line.split() for line in outcome.out.splitlines()[1:3]]
    assert {cells[1] for cells in printed} == {"1-1", "1-2"}
    assert (tmp_path / "found" / "scenes.heads.png").is_file()


def test_heads_with_atr_are_others(analyze: Run, tmp_path: Path) -> None:
    preset = Preset(ssr=SsrSettings(layers=(1,)), source="a test", atr=AtrSettings(threshold=0.25))
    preset.save(tmp_path / "preset.json")
    options = ("--preset", tmp_path / "preset.json", "--no-figures", "--json")
    plain, replaced = analyze("heads", *options).json, analyze("heads", "--atr", *options).json
    assert plain["atr"] is None
    assert replaced["atr"]["threshold"] == 0.25
    assert plain["heads"] != replaced["heads"]


def test_tokens(analyze: Run, tmp_path: Path) -> None:
    outcome = analyze("tokens", "--threshold", 0.25)
    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "analysis" / "scenes.tokens.csv")
    assert [row["layer"] for row in rows] == ["1", "2"]
    assert int(rows[0]["abnormal_tokens"]) + int(rows[0]["normal_tokens"]) == 3 * 2 * 4
    document = document_of(tmp_path / "analysis" / "scenes.tokens.json")
    assert sum(document["layers"][0]["histogram"]) == 24
    assert document["threshold"] == 0.25
    assert np.asarray(document["layers"][0]["positions"]).shape == (2, 2)
    assert "threshold is 0.25" in outcome.err


def test_tokens_take_the_threshold_of_the_preset(analyze: Run) -> None:
    assert analyze("tokens", "--no-figures", "--json").json["threshold"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("layers", "--compare-paper"), "The paper has no curves of scenes by a tower of 2 layers"),
        (("heads", "--compare-paper"), "a tower of 12 layers of 12 heads, with patches of 16"),
        (("tokens", "--threshold", 2), "'--threshold': 2.0 is not in the range 0<=x<=1"),
        (("layers", "--preset", "none.json"), "Cannot read the preset none.json"),
        (("layers", "--device", "abacus"), "'abacus'"),
        (("heads", "--root", "nowhere"), "There is no folder nowhere"),
    ],
)
def test_what_cannot_be_used(analyze: Run, arguments: tuple[object, ...], sentence: str) -> None:
    outcome = analyze(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert sentence in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_an_unknown_data_set_and_measure(lhtclip: Run, checkpoint: Path) -> None:
    outcome = lhtclip("analyze", "heads", "scenery", "--model", checkpoint)
    assert outcome.code == 2
    assert "Did you mean 'scenes'?" in outcome.err
    assert lhtclip("analyze", "tails").code == 2
    assert "layers" in lhtclip("analyze").out


def test_comparison_with_the_paper(
    analyze: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model stands in for ViT-B/16; both published heads are among its own."""
    monkeypatch.setattr(lhtclip.cli.analyze.run, "VIT_B16", Tower(2, 2, 16))
    heads = {(1, 1): 0.7, (1, 2): 0.8}
    monkeypatch.setattr("lhtclip.analysis.published.HEADS", heads)
    monkeypatch.setattr("lhtclip.cli.analyze.tables.HEADS", heads)
    outcome = analyze("heads", "--compare-paper", "--no-figures")
    assert outcome.code == 0, outcome.err
    assert "Spearman over the 2 published heads" in outcome.out
    paper = document_of(tmp_path / "analysis" / "scenes.heads.json")["paper"]
    assert abs(paper["spearman"]) == pytest.approx(1)
    assert paper["overlap"] == 1
    assert sorted(place[:2] for place in paper["places"]) == [[1, 1], [1, 2]]


def test_without_matplotlib(analyze: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lhtclip.analysis.figures.can_draw", lambda: False)
    monkeypatch.setattr("lhtclip.cli.analyze.run.can_draw", lambda: False)
    refused = analyze("heads", "--figures")
    assert refused.code == 2
    assert "pip install 'lhtclip[analysis]'" in refused.err
    done = analyze("heads")
    assert done.code == 0
    assert "No figures" in done.err
    assert not any(line.endswith(".png") for line in done.out.splitlines())
