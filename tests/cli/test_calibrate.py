from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lhtclip.cli.calibrate.run as calibration
from lhtclip.calibration.search import Grid
from lhtclip.calibration.without_labels import RANKING
from lhtclip.cli.calibrate.stack import options_of
from lhtclip.evaluation.measure import measure
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.paper.gains import GAINS
from lhtclip.techniques.presets import Preset
from tests.datasets.trees import voc_tree

SMALL = Grid(alphas=(0.1,), more_layers=(0,), heads=(2, 1), betas=(0.4,))
PROTOCOL = protocol_for("folder", "lht")
CANDIDATES = 10  # that SMALL makes of the tiny model


@pytest.fixture(autouse=True)
def _small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "Grid", lambda: SMALL)


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    """A data set of one's own, with 4 pictures."""
    root = tmp_path / "garden"
    generator = np.random.default_rng(1)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(4):
        image = generator.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / f"images/{number}.png")
        mask = generator.integers(0, 3, (2, 2), dtype=np.uint8).repeat(24, 0).repeat(24, 1)
        Image.fromarray(mask).save(root / f"masks/{number}.png")
    (root / "classes.txt").write_text("cat\ngrass|lawn\nsky\n")
    return root


@pytest.fixture
def run(lhtclip: Any, checkpoint: Path, garden: Path) -> Any:
    """Run `lhtclip calibrate` with the tiny model on the garden."""

    def calibrate(*arguments: object) -> Any:
        data = ("--data", "folder", "--root", garden)
        return lhtclip("calibrate", "--model", checkpoint, *data, "--dtype", "float32", *arguments)

    return calibrate


@pytest.mark.usefixtures("progress_shown")
def test_a_preset_is_made_told_about_and_taken_by_other_commands(
    run: Any, segment: Any, draw: Any, tmp_path: Path
) -> None:
    outcome = run("--out", "made/lht.json", "--seed", 7)
    assert outcome.code == 0, outcome.err
    preset = Preset.load(tmp_path / "made/lht.json")
    assert len(preset.ranking) == 2
    assert {layer for layer, _ in preset.ranking} == {1}
    assert preset.made["seed"] == 7
    assert preset.made["images"] == {"heads": 2, "search": 2}
    assert preset.made["data"] == "garden"
    header, *rows = outcome.out.splitlines()
    assert header.split() == ["step", "compared", "mIoU", "%", "best"]
    assert [row.split("  ")[0] for row in rows] == [
        *(step["step"] for step in preset.made["steps"]),
        "all",
    ]
    assert re.search("passes over images that rank heads.* 4/4 ", outcome.err)
    assert f"candidate {CANDIDATES} of at most" in outcome.err
    assert outcome.err.splitlines()[-1] == "lhtclip: Written: made/lht.json"
    assert segment(draw("a.png"), "--preset", "made/lht.json").code == 0


def test_a_run_that_was_stopped_goes_on(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("--out", "whole.json", "--quiet")
    assert whole.code == 0
    assert whole.err == "lhtclip: Written: whole.json\n"
    assert (tmp_path / "whole.calibration").is_dir()
    asked: list[Any] = []

    def stop_at_the_fifth(*given: Any, **named: Any) -> Any:
        asked.append(given)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return measure(*given, **named)

    monkeypatch.setattr(calibration, "measure", stop_at_the_fifth)
    assert run("--out", "cut.json", "--work", "counts").code == 130
    assert not (tmp_path / "cut.json").exists()
    assert len(list((tmp_path / "counts").iterdir())) == 4
    monkeypatch.setattr(calibration, "measure", measure)
    again = run("--out", "cut.json", "--work", "counts")
    assert again.out == whole.out
    assert Preset.load(tmp_path / "cut.json") == Preset.load(tmp_path / "whole.json")
    assert len(list((tmp_path / "counts").iterdir())) == CANDIDATES


def test_a_preset_is_not_replaced_unasked(run: Any, tmp_path: Path) -> None:
    (tmp_path / "lht.json").write_text("mine")
    outcome = run()
    assert outcome.code == 2
    assert outcome.err == (
        "lhtclip: lht.json exists already. Choose another --out, or pass --overwrite.\n"
    )
    assert run("--overwrite").code == 0
    assert Preset.load(tmp_path / "lht.json").ranking


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images-for-heads", 4), "4 images cannot be split into 4"),
        (("--limit", 2, "--images-for-heads", 2), "2 images cannot be split into 2"),
        (("--method", "sclipp"), "Did you mean 'sclip'"),
        (("--data", "gardn"), "Unknown data set 'gardn'"),
        (("--root", "nowhere"), "There is no folder nowhere"),
        (("--out", "garden/classes.txt/lht.json"), "Cannot write into"),
        (("--limit", 1), "is not in the range"),
    ],
)
def test_what_cannot_be_done_is_said_before_a_model_is_loaded(
    run: Any, arguments: tuple[object, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "load_checkpoint", None)
    outcome = run(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name the labelled images to calibrate on: --data NAME"),
        (("--images", "garden"), "--no-labels is needed for --images"),
        (("--data", "folder", "--ranking", "clusters"), "--no-labels is needed for --ranking"),
        (("--no-labels",), "Name the images to rank heads on: --images DIR"),
        (("--no-labels", "--data", "scenes"), "--no-labels takes no --data"),
        (("--no-labels", "--images-for-heads", 4), "--no-labels takes no --images-for-heads"),
        (("--no-labels", "--images", "nowhere"), "'nowhere' is not an image file"),
    ],
)
def test_options_that_do_not_go_together(
    lhtclip: Any, arguments: tuple[object, ...], message: str
) -> None:
    outcome = lhtclip("calibrate", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_the_help_names_the_default_ranking(lhtclip: Any) -> None:
    assert f"[default: {RANKING}]" in " ".join(lhtclip("calibrate", "--help").out.split())


def test_a_stack_is_proposed_and_recorded(run: Any, tmp_path: Path) -> None:
    outcome = run("--stack", "--quiet", "--limit", 3)
    assert outcome.code == 0, outcome.err
    stack = Preset.load(tmp_path / "lht.json").made["stack"]
    gains = [name for name in GAINS if not name.startswith("background")]
    assert [each["gains"] for each in stack["measured"][:10]] == [[], *([name] for name in gains)]
    scores = {tuple(each["gains"]): each["mean_iou"] for each in stack["measured"]}
    assert scores[tuple(stack["chosen"])] == max(scores.values())
    options = options_of(stack["chosen"], PROTOCOL)
    assert (f"help together: {options}" if options else "No gain helps") in outcome.err


def test_every_gain_has_an_option() -> None:
    assert options_of(["scales", "shifts"], PROTOCOL) == "--short-side 252,336,448 --shifts 2"
    for name in GAINS:
        assert options_of([name], PROTOCOL).startswith("--")


def test_without_labels_pictures_are_enough(
    lhtclip: Any, checkpoint: Path, garden: Path, segment: Any, draw: Any, tmp_path: Path
) -> None:
    model = ("--model", checkpoint, "--dtype", "float32")
    pictures = ("--no-labels", "--images", garden / "images", "--ranking", "clusters")
    outcome = lhtclip("calibrate", *model, *pictures, "--seed", 2)
    assert outcome.code == 0, outcome.err
    preset = Preset.load(tmp_path / "lht.json")
    assert preset.she is not None
    assert preset.she.heads == preset.ranking
    assert preset.made["labels"] is False
    assert preset.made["images"] == 4
    assert preset.made["ranking"] == "clusters"
    header, *rows = outcome.out.splitlines()
    assert header.split() == ["head", "clusters"]
    assert [row.split()[0] for row in rows] == [f"{layer}-{head}" for layer, head in preset.ranking]
    assert not (tmp_path / "lht.calibration").exists()
    assert segment(draw("a.png"), "--preset", "lht.json").code == 0


def test_a_wrong_ranking_is_reported_before_a_model_is_loaded(
    lhtclip: Any, garden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "load_checkpoint", None)
    pictures = ("--no-labels", "--images", garden / "images")
    outcome = lhtclip("calibrate", *pictures, "--ranking", "clustrs")
    assert outcome.code == 2
    assert "Did you mean 'clusters'" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_test_set_of_the_publications_is_called_one(
    lhtclip: Any, checkpoint: Path, tmp_path: Path
) -> None:
    root = voc_tree(tmp_path / "voc")
    outcome = lhtclip("calibrate", "--model", checkpoint, "--data", "voc20", "--root", root)
    assert "voc20 is read as the images that publications test on" in outcome.err
    assert outcome.code == 2  # a picture of 12 pixels ranks no heads
    assert "1 images that rank the heads have no two patches of one class" in outcome.err
    data = ("--data", "voc20", "--root", root)
    refused = lhtclip("calibrate", "--model", checkpoint, *data, "--stack")
    assert refused.code == 2
    assert "--stack never searches on those" in refused.err
