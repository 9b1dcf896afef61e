from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lhtclip.cli.evaluate.run as evaluation
from lhtclip.cli.evaluate import command, tasks
from lhtclip.datasets.scene_files import save_scenes
from lhtclip.evaluation.runner import evaluate
from lhtclip.image.windows import WindowSettings
from tests.datasets.trees import voc_tree

CLASSES = "cat\ngrass|lawn\nsky\n"


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    pictures = []
    for classes in ([["cat"], ["sky"]], [["grass", "lawn"], ["sky"], ["car"]], [["car"], ["cat"]]):
        image = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        labels = (
            generator.integers(0, len(classes), (6, 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        )
        labels[:4] = 255
        pictures.append((image, labels, classes))
    save_scenes(tmp_path / "scenes", pictures)
    return tmp_path / "scenes"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A data set of one's own, with 9 pictures."""
    root = tmp_path / "garden"
    generator = np.random.default_rng(1)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(9):
        image = generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / f"images/{number}.png")
        mask = generator.integers(0, 3, (3, 4), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
        Image.fromarray(mask).save(root / f"masks/{number}.png")
    (root / "classes.txt").write_text(CLASSES)
    return root


@pytest.fixture
def run(lhtclip: Any, checkpoint: Path) -> Any:
    """Run `lhtclip evaluate` with the tiny model."""

    def evaluate(*arguments: object) -> Any:
        fast = ("--model", checkpoint, "--templates", "plain", "--dtype", "float32")
        sizes = ("--short-side", 32, "--window", 32, "--stride", 16)
        return lhtclip("evaluate", *fast, *sizes, *arguments)

    return evaluate


def document(out: Path, name: str) -> Any:
    return json.loads((out / f"{name}.json").read_text())


def test_defaults_are_those_of_the_library() -> None:
    defaults = {option.name: option.default for option in command.params}
    assert defaults["batch"] == WindowSettings().batch
    assert evaluate.__kwdefaults__ is not None
    assert defaults["trimap"] == evaluate.__kwdefaults__["trimap"]
    assert defaults["workers"] == evaluate.__kwdefaults__["workers"]


def test_a_setting_of_the_method_is_a_deviation(run: Any, scenes: Path, tmp_path: Path) -> None:
    pearl = ("--method", "pearl", "--no-lht", "--setting", "alpha=0.3")
    assert run("scenes", "--root", scenes, "--out", "out", *pearl).code == 0
    written = document(tmp_path / "out", "scenes")
    assert written["settings"]["method_settings"]["alpha"] == 0.3
    changed = written["deviations"]["method_settings"]
    assert (changed["protocol"]["alpha"], changed["used"]["alpha"]) == (0.08, 0.3)


@pytest.mark.usefixtures("progress_shown")
def test_results_are_written_and_printed(run: Any, scenes: Path, tmp_path: Path) -> None:
    outcome = run("scenes", "--root", scenes, "--out", "out")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "report.md",
        "scenes.confusion.npz",
        "scenes.json",
    ]
    header, row = outcome.out.splitlines()
    assert header.split("  ")[0] == "data set"
    written = document(tmp_path / "out", "scenes")
    assert row.split() == [
        "scenes",
        f"{100 * written['mean_iou']:.2f}",
        f"{100 * written['pixel_accuracy']:.2f}",
        "3",
        f"{written['images_per_second']:.2f}",
    ]
    assert [entry["name"] for entry in written["classes"]] == ["cat", "sky", "grass", "car"]
    with np.load(tmp_path / "out/scenes.confusion.npz") as arrays:
        total = int(arrays["confusion"].sum())
        assert total == 3 * (48 - 4) * 64
        assert written["pixel_accuracy"] == np.trace(arrays["confusion"]) / total
    assert (
        f"| mIoU % | {100 * written['mean_iou']:.2f} |" in (tmp_path / "out/report.md").read_text()
    )
    assert re.search("images of scenes.* 3/3 .*mIoU", outcome.err)


def test_the_document_tells_every_setting(run: Any, scenes: Path, tmp_path: Path) -> None:
    options = ("--method", "naclip", "--no-ssr", "--logit-scale", 50, "--trimap", 3, "--batch", 5)
    outcome = run("scenes", "--root", scenes, "--out", "out", *options, "--json")
    assert outcome.code == 0, outcome.err
    (told,) = outcome.json["datasets"]
    assert told == document(tmp_path / "out", "scenes")
    assert told["method"]["name"] == "naclip"
    assert told["method"]["techniques"] == "ATR"  # no heads are known for this model
    assert told["protocol"]["publication"] == "lht"
    assert told["deviations"] == {
        "short_side": {"protocol": 336, "used": 32},
        "window": {"protocol": 224, "used": 32},
        "stride": {"protocol": 112, "used": 16},
        "logit_scale": {"protocol": 40.0, "used": 50.0},
        "templates": {"protocol": "imagenet80", "used": "plain"},
    }
    assert told["settings"]["windows"]["batch"] == 5
    assert told["settings"]["decoding"]["logit_scale"] == 50
    assert told["settings"]["trimap"] == 3
    assert told["settings"]["method"] == "naclip"
    page = (tmp_path / "out/report.md").read_text()
    assert "- scenes: logit scale 50.0 instead of 40.0" in page


def test_a_folder_of_ones_own(run: Any, own: Path, tmp_path: Path) -> None:
    outcome = run("folder", "--root", own, "--out", "out", "--limit", 4, "--window", 0, "--pamr")
    assert outcome.code == 0, outcome.err
    told = document(tmp_path / "out", "garden")
    assert (told["images"], told["published_images"]) == (4, 9)
    assert [entry["name"] for entry in told["classes"]] == ["cat", "grass", "sky"]
    assert told["settings"]["windows"]["window"] is None
    assert told["settings"]["decoding"]["pamr"]["iterations"] == 10
    assert "4 of 9" in outcome.out


def test_published_sets_have_published_words(run: Any, tmp_path: Path) -> None:
    root = voc_tree(tmp_path)
    arguments = ("voc20", "voc21", "--root", root, "--no-lht", "--out", "out")
    refused = run(*arguments)
    assert refused.code == 2
    assert "2 images" in refused.err
    assert "--no-check" in refused.err
    outcome = run(*arguments, "--no-check")
    assert outcome.code == 0, outcome.err
    assert [line.split()[0] for line in outcome.out.splitlines()[1:]] == ["voc21", "voc20"]
    told = document(tmp_path / "out", "voc21")
    assert told["protocol"]["class_list"] == "voc21"
    assert told["settings"]["decoding"]["logit_scale"] == 65
    assert told["settings"]["decoding"]["threshold"] == 0.1
    assert told["settings"]["decoding"]["area_threshold"] == 0.1
    assert (told["images"], told["published_images"]) == (2, 1449)
    assert len(told["classes"]) == 21
    page = (tmp_path / "out/report.md").read_text()
    assert "| images | 2 of 1449 | 2 of 1449 |" in page
    assert "| logit scale | 65.0 | 40.0 |" in page


def test_words_of_ones_own(run: Any, tmp_path: Path) -> None:
    root = voc_tree(tmp_path)
    arguments = ("voc20", "voc21", "--root", root, "--no-lht", "--no-check", "--limit", 1)
    words = ("--background", "background", "--aliases", "common")
    outcome = run(*arguments, "--out", "out", *words)
    assert outcome.code == 0, outcome.err
    told = document(tmp_path / "out", "voc21")
    changed = {"protocol": "published", "used": "background"}
    assert told["deviations"]["background_words"] == changed
    assert told["protocol"]["aliases"] == "common"
    assert told["settings"]["decoding"]["aliases"]["tau"] == 4
    assert told["protocol"]["background_words"] == "background"
    assert "background_words" not in document(tmp_path / "out", "voc20")["deviations"]
    page = (tmp_path / "out/report.md").read_text()
    assert "- voc21: background words background instead of published" in page


def test_two_data_sets_at_once(run: Any, own: Path, scenes: Path, monkeypatch: Any) -> None:
    asked: list[tuple[str, str | None]] = []
    opened = tasks.open_dataset

    def open_dataset(name: str, root: str | None) -> Any:
        asked.append((name, root))
        return opened(name, scenes if name == "scenes" else root)

    monkeypatch.setattr(tasks, "open_dataset", open_dataset)
    outcome = run("scenes", "folder", "--root", own, "--out", "out")
    assert outcome.code == 0, outcome.err
    assert asked == [("scenes", None), ("folder", str(own))]
    assert [line.split()[0] for line in outcome.out.splitlines()[1:]] == ["scenes", "garden"]


def test_predictions_and_gallery(run: Any, own: Path, tmp_path: Path) -> None:
    outcome = run("folder", "--root", own, "--out", "out", "--predictions", "--gallery", 2)
    assert outcome.code == 0, outcome.err
    assert len(list((tmp_path / "out/garden").iterdir())) == 9
    assert len(list((tmp_path / "out/garden.worst").iterdir())) == 2
    matrix = np.zeros((3, 3), dtype=np.int64)
    for number in range(9):
        with Image.open(tmp_path / f"out/garden/{number}.png") as found:
            truth = np.asarray(Image.open(own / f"masks/{number}.png"))
            np.add.at(matrix, (truth, np.asarray(found)), 1)
    with np.load(tmp_path / "out/garden.confusion.npz") as arrays:
        np.testing.assert_array_equal(arrays["confusion"], matrix)


def test_a_run_goes_on_and_others_do_not_mix(run: Any, own: Path, tmp_path: Path) -> None:
    arguments = ("folder", "--root", own, "--out", "out")
    first = run(*arguments)
    assert run(*arguments).out == first.out  # nothing was left to do, the speed is the first run's
    other = run(*arguments, "--no-lht")
    assert other.code == 2
    assert other.out == ""
    assert "garden.confusion.npz holds counts of other settings" in other.err
    assert "delete " in other.err
    assert document(tmp_path / "out", "garden")["method"]["techniques"] == "ATR+SSR"
    assert run(*arguments, "--no-lht", "--overwrite").code == 0
    assert document(tmp_path / "out", "garden")["method"]["techniques"] == "none"


def test_a_broken_picture_stops_the_run(run: Any, own: Path, tmp_path: Path) -> None:
    (own / "images/8.png").write_bytes(b"Dear diary")
    outcome = run("folder", "--root", own, "--out", "out", "--no-check")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.splitlines()[-1].startswith("lhtclip: ")
    assert "8.png" in outcome.err.splitlines()[-1]
    assert not (tmp_path / "out/garden.json").exists()
    assert (tmp_path / "out/garden.confusion.npz").exists()  # the first 8


def test_what_is_no_data_set_is_told_before_the_model_is_loaded(
    run: Any, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a model was loaded for input that cannot be used")

    monkeypatch.setattr(evaluation, "load_checkpoint", refuse)
    Image.fromarray(np.full((30, 40), 7, np.uint8)).save(own / "masks/3.png")
    for arguments, parts in (
        (["voc12", "--root", own], ["'voc12'", "'voc21'"]),
        (["voc21"], ["'voc21'", "root"]),
        (["voc21", "--root", own], ["VOC"]),
        (["folder", "--root", own], ["3.png", "--no-check"]),
        (["scenes", "--method", "slcip"], ["Did you mean 'sclip'?"]),
        (["scenes", "--protocol", "slcip"], ["Did you mean 'sclip'?"]),
        (["scenes", "--templates", "imagnet80"], ["Did you mean 'imagenet80'?"]),
        (["scenes", "--preset", "nowhere.json"], ["nowhere.json"]),
        (["scenes", "--window", 32, "--stride", 64], ["stride of 64"]),
        (["scenes", "--window", -1], ["--window"]),
        (["scenes", "--logit-scale", 0], ["--logit-scale"]),
        (["scenes", "--threshold", 2], ["--threshold"]),
        (["scenes", "--threshold", 0.2], ["'palette', not a background"]),
        (["scenes", "--area-threshold", "nan"], ["area_threshold"]),
        (["scenes", "--background", "auto"], ["no background class"]),
        (["scenes", "--limit", 0], ["--limit"]),
        (["scenes", "--workers", 0], ["--workers"]),
        (["scenes", "--out", own / "classes.txt"], ["not a folder"]),
        ([], ["NAME"]),
    ):
        outcome = run(*arguments, "--quiet")
        assert outcome.code == 2
        assert len(outcome.err.splitlines()) == 1
        assert outcome.out == ""
        for part in parts:
            assert part in outcome.err


def test_two_data_sets_of_one_name(run: Any, own: Path, tmp_path: Path) -> None:
    own.rename(tmp_path / "scenes")
    outcome = run("folder", "scenes", "--root", tmp_path / "scenes")
    assert outcome.code == 2
    assert "Two of the data sets are called 'scenes'" in outcome.err


@pytest.mark.parametrize(
    ("options", "publication", "share"),
    [
        (["--method", "resclip"], "resclip", 0.4),
        (["--method", "resclip", "--protocol", "naclip"], "naclip", 0.3),
        (["--no-lht"], "sclip", None),
        (["--no-lht", "--atr"], "lht", None),
        (["--protocol", "clearclip", "--short-side", "32"], "clearclip", None),
    ],
)
def test_protocols_bring_their_settings(
    run: Any,
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    publication: str,
    share: float | None,
) -> None:
    # the tiny tower has no layer that ResCLIP could borrow from
    monkeypatch.setattr("lhtclip.methods.resclip.RcsSettings.layers_of", lambda *_: (1,))
    outcome = run("folder", "--root", own, "--out", "out", "--limit", 1, *options)
    assert outcome.code == 0, outcome.err
    told = document(tmp_path / "out", "garden")
    assert told["protocol"]["publication"] == publication
    settings = told["settings"]["method_settings"]
    assert settings.get("share") == share


def test_quiet_and_the_bundled_model(
    run: Any, own: Path, scenes: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lhtclip.checkpoints.hub.BUNDLED_FOLDER", checkpoint)
    preset = ("--no-she", "--model", "bundled")
    loud = run("folder", "--root", own, "--out", "loud", *preset)
    assert loud.err.count("emoji") == 1
    assert "emoji" not in run("scenes", "--root", scenes, "--out", "scenes-out", *preset).err
    assert run("folder", "--root", own, "--out", "quiet", *preset, "--quiet").err == ""


def test_an_interrupted_run_goes_on(
    run: Any, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(running: Any) -> None:
        if running.done == 9:
            raise KeyboardInterrupt

    arguments = ("folder", "--root", own, "--workers", 1)
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "_report_to", lambda _: interrupt)
        stopped = run(*arguments, "--out", "out")
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1] == "lhtclip: Interrupted."
    assert not (tmp_path / "out/garden.json").exists()
    assert run(*arguments, "--out", "out").code == 0
    assert run(*arguments, "--out", "whole").code == 0
    with (
        np.load(tmp_path / "out/garden.confusion.npz") as first,
        np.load(tmp_path / "whole/garden.confusion.npz") as second,
    ):
        for name in ("confusion", "image_iou", "keys", "names"):
            np.testing.assert_array_equal(first[name], second[name])
