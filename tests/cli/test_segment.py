from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lhtclip.batch.reading
import lhtclip.cli.segment.run
from lhtclip.formats import SINKS
from lhtclip.output.png import decode_labels

NAMES = ["cat", "grass", "sky"]


def files_below(folder: Path) -> list[str]:
    files = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return sorted(str(path) for path in files if path.parts[0] != ".lhtclip")


def test_default_formats(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("shots/one.jpg")
    outcome = segment("shots/one.jpg")
    assert outcome.code == 0
    assert outcome.paths == [Path("lhtclip-out/one.png"), Path("lhtclip-out/one.overlay.jpg")]
    assert files_below(tmp_path / "lhtclip-out") == ["classes.json", "one.overlay.jpg", "one.png"]
    labels = decode_labels(tmp_path / "lhtclip-out/one.png")
    assert labels.shape == (40, 56)
    assert set(np.unique(labels)) <= {0, 1, 2}
    with Image.open(tmp_path / "lhtclip-out/one.overlay.jpg") as overlay:
        assert overlay.width >= 56
        assert overlay.height > 40  # the legend


def test_all_formats_agree(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png")
    outcome = segment("one.png", "--out", "out", "--format", "labels, scores,binary,overlay")
    assert outcome.code == 0
    out = tmp_path / "out"
    masks = [f"one.{name}.mask.png" for name in NAMES]
    assert files_below(out) == sorted(
        ["classes.json", "one.overlay.jpg", "one.png", "one.scores.npz", *masks]
    )
    labels = decode_labels(out / "one.png")
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(decode_labels(out / mask) == 255, labels == index)
    with np.load(out / "one.scores.npz") as file:
        scores = file["scores"]
    assert scores.shape == labels.shape
    assert scores.min() >= 1 / 3 / 2  # a winner among 4 queries of 3 classes
    assert scores.max() <= 1


def test_classes_json_tells_what_the_labels_mean(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png")
    outcome = segment(
        *("one.png", "--out", "out", "--background", "wall|floor", "--no-atr", "--device", "cpu")
    )
    assert outcome.code == 0
    record = json.loads((tmp_path / "out/classes.json").read_text())
    assert [entry["name"] for entry in record["classes"]] == ["background", *NAMES]
    assert record["classes"][0] == {
        "index": 0,
        "name": "background",
        "synonyms": ["wall", "floor"],
        "colour": "#404040",
        "background": True,
    }
    assert record["classes"][2]["synonyms"] == ["grass", "lawn"]
    assert not record["classes"][2]["background"]
    with Image.open(tmp_path / "out/one.png") as picture:
        palette = picture.getpalette()
    assert palette is not None
    for entry in record["classes"]:
        place = 3 * entry["index"]
        assert f"#{bytes(palette[place : place + 3]).hex()}" == entry["colour"]
    assert record["config"]["method"] == "sclip"
    assert record["config"]["lht"] == {"atr": False}
    settings = record["settings"]
    techniques = {name for name, value in settings["techniques"].items() if value}
    assert techniques == {"ssr"}  # no heads are known for this model
    assert (settings["residual"], settings["mlp"]) == (False, False)
    assert (settings["engine"], settings["device"]) == ("torch", "cpu")
    assert settings["dtype"] == record["config"]["dtype"] in ("float32", "bfloat16")


def test_subfolders_are_kept(segment: Any, draw: Any, tmp_path: Path) -> None:
    for name in ("a/one.jpg", "b/one.jpg", "b/c/one.jpg"):
        draw(f"shots/{name}")
    assert segment("shots", "--out", "out", "--format", "labels").code == 0
    expected = ["a/one.png", "b/c/one.png", "b/one.png", "classes.json"]
    assert files_below(tmp_path / "out") == expected
    assert segment("shots/**/*.jpg", "--out", "globbed", "--format", "labels").code == 0
    assert files_below(tmp_path / "globbed") == expected


def test_results_in_a_folder_of_images_are_no_images(segment: Any, draw: Any) -> None:
    draw("one.jpg")
    draw("more/two.jpg")
    assert len(segment(".", "--format", "labels").paths) == 2
    again = segment(".", "--format", "labels")
    assert again.code == 0
    assert "2 of 2 images are done already" in again.err
    assert again.out == ""


def test_only_results_and_no_image(segment: Any, draw: Any) -> None:
    draw("lhtclip-out/one.jpg")
    outcome = segment(".")
    assert outcome.code == 2
    assert "no images apart from those" in outcome.err


def test_a_stopped_run_goes_on(
    segment: Any, draw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(16):
        draw(f"shots/{index}.png", seed=index)
    printed = []

    def print_two(path: Path) -> None:
        printed.append(path)
        if len(printed) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(lhtclip.cli.segment.run, "print_path", print_two)
    outcome = segment("shots", "--out", "out", "--batch", 1)
    assert outcome.code == 130
    assert outcome.err.strip().splitlines()[-1] == "lhtclip: Interrupted."
    results = files_below(tmp_path / "out")
    assert not [name for name in results if name.startswith(".")]
    done = len([name for name in results if name.endswith(".overlay.jpg")])
    assert len(results) == 2 * done + 1  # an image's files are all there, or none is
    assert 2 <= done < 16

    read, opened = lhtclip.batch.reading.read_image, []
    monkeypatch.setattr(
        lhtclip.batch.reading,
        "read_image",
        lambda path, **options: (opened.append(path.name), read(path, **options))[1],
    )
    monkeypatch.setattr(lhtclip.cli.segment.run, "print_path", printed.append)
    outcome = segment("shots", "--out", "out")
    assert outcome.code == 0
    assert f"{done} of 16 images are done already" in outcome.err
    assert len(files_below(tmp_path / "out")) == 33
    assert len(opened) == len(set(opened)) + 1  # once more where a chunk was interrupted
    opened.clear()
    segment("shots", "--out", "out")
    assert opened == []


def test_resume_makes_what_is_missing(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("shots/one.png")
    segment("shots", "--out", "out", "--format", "labels")
    outcome = segment("shots", "--out", "out", "--format", "labels,scores")
    assert [path.name for path in outcome.paths] == ["one.png", "one.scores.npz"]


def test_other_words_need_overwrite(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("shots/one.png")
    draw("shots/two.png")
    segment("shots", "--out", "out", "--format", "labels", classes="cat, sky")
    before = (tmp_path / "out/classes.json").read_bytes()
    outcome = segment("shots", "--out", "out", classes="cat, road")
    assert outcome.code == 2
    assert "other words" in outcome.err
    assert (tmp_path / "out/classes.json").read_bytes() == before
    outcome = segment("shots", "--out", "out", "--format", "labels", classes="cat|kitten, sky")
    assert "other words" in outcome.err
    outcome = segment(
        "shots", "--out", "out", "--format", "labels", "--overwrite", classes="cat, road"
    )
    assert outcome.code == 0
    assert len(outcome.paths) == 2
    assert "road" in (tmp_path / "out/classes.json").read_text()


def test_other_settings_need_overwrite(segment: Any, draw: Any) -> None:
    draw("one.png")
    segment("one.png", "--out", "out")
    outcome = segment("one.png", "--out", "out", "--no-lht", "--method", "naclip")
    assert outcome.code == 2
    assert "method 'sclip', now 'naclip'" in outcome.err
    assert "lht True, now False" in outcome.err
    assert "dtype" not in outcome.err
    assert segment("one.png", "--out", "out", "--no-lht", "--overwrite").code == 0
    # these decide nothing about the labels
    assert segment("one.png", "--out", "out", "--no-lht", "--batch", 3, "--quiet").code == 0


def test_overwrite_leaves_no_old_result_of_a_broken_image(
    segment: Any, draw: Any, tmp_path: Path
) -> None:
    draw("shots/one.png")
    broken = draw("shots/two.png")
    segment("shots", "--out", "out", "--format", "labels")
    broken.write_bytes(b"no picture")
    outcome = segment("shots", "--out", "out", "--format", "labels", "--overwrite")
    assert outcome.code == 1
    assert files_below(tmp_path / "out") == ["classes.json", "one.png"]


def test_files_of_others_are_not_taken_for_results(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("shots/one.jpg")
    other = draw("out/one.png")
    before = other.read_bytes()
    outcome = segment("shots", "--out", "out")
    assert outcome.code == 2
    assert "is there already" in outcome.err
    assert other.read_bytes() == before
    (tmp_path / "out/classes.json").write_text("[1, 2]")
    assert "not understood" in segment("shots", "--out", "out").err
    assert segment("shots", "--out", "out", "--overwrite").code == 0


def test_a_broken_image_does_not_stop_the_others(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("shots/1.png")
    whole = draw("shots/2.png", height=200, width=300).read_bytes()
    (tmp_path / "shots/2.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "shots/3.png").write_text("Dear diary")
    draw("shots/4.png")
    outcome = segment("shots", "--out", "out", "--format", "labels")
    assert outcome.code == 1
    assert files_below(tmp_path / "out") == ["1.png", "4.png", "classes.json"]
    *_, heading, first, second = outcome.err.splitlines()
    assert heading == "lhtclip: 2 of 4 images could not be labelled:"
    assert "2.png" in first
    assert "3.png" in second


def test_only_broken_images_need_no_model(segment: Any, tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "shots" / name).write_text("Dear diary")
    outcome = segment("shots", "--out", "out", "--model", "no/such-model")
    assert outcome.code == 1
    assert "2 of 2 images could not be labelled" in outcome.err
    assert not (tmp_path / "out").exists()


def test_json(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("shots/1.png")
    draw("shots/2.png", height=30, width=30)
    (tmp_path / "shots/3.png").write_text("Dear diary")
    segment("shots/1.png", "--out", "out", "--format", "labels,binary")
    outcome = segment("shots", "--out", "out", "--format", "labels,binary", "--json")
    assert outcome.code == 1
    document = outcome.json
    assert [entry["name"] for entry in document["classes"]] == NAMES
    assert document["config"]["decoding"]["threshold"] == 0
    assert document["settings"]["techniques"]["she"] is None
    skipped, done, failed = document["images"]
    assert skipped["skipped"] is True
    assert done["skipped"] is False
    assert done["image"] == str(Path("shots/2.png"))
    assert (done["width"], done["height"]) == (30, 30)
    assert list(done["coverage"]) == NAMES
    assert sum(done["coverage"].values()) == pytest.approx(1)
    assert done["outputs"]["labels"] == [str(Path("out/2.png"))]
    assert len(done["outputs"]["binary"]) == 3
    assert set(failed) == {"image", "error"}


def test_classes_file(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png")
    (tmp_path / "words.txt").write_text("# mine\ncat\ngrass | lawn\n")
    outcome = segment("one.png", "--classes-file", "words.txt", "--json", classes=None)
    assert [entry["synonyms"] for entry in outcome.json["classes"]] == [["cat"], ["grass", "lawn"]]


def test_threshold_of_one_is_all_background(segment: Any, draw: Any) -> None:
    draw("one.png")
    outcome = segment("one.png", "--threshold", 1, "--json")
    coverage = outcome.json["images"][0]["coverage"]
    assert coverage["background"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("option", ["--no-lht", "--no-atr", "--no-ssr", "--she"])
def test_switches_reach_the_model(segment: Any, draw: Any, option: str, tmp_path: Path) -> None:
    preset = {"source": "test", "ssr": {"layers": [1]}, "she": {"heads": [[1, 1]]}}
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    draw("one.png")
    outcome = segment("one.png", option, "--preset", "preset.json", "--json")
    assert outcome.code == 0, outcome.err
    expected = {
        "--no-lht": set(),
        "--no-atr": {"ssr", "she"},
        "--no-ssr": {"atr", "she"},
        "--she": {"atr", "ssr", "she"},
    }
    settings = outcome.json["settings"]
    assert {name for name, value in settings["techniques"].items() if value} == expected[option]
    assert settings["residual"] is (option == "--no-lht")


def test_whole_image_in_one_window(segment: Any, draw: Any) -> None:
    draw("one.png")
    assert segment("one.png", "--window", 0, "--no-residual", "--mlp").code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text exist on Linux only")
def test_a_name_that_is_no_text(segment: Any, draw: Any, tmp_path: Path) -> None:
    os.rename(draw("shots/one.png"), os.fsencode(tmp_path / "shots") + b"/caf\xe9.png")
    outcome = segment("shots", "--out", "out", "--format", "labels")
    assert outcome.code == 0
    assert outcome.paths == [Path(os.fsdecode(b"out/caf\xe9.png"))]
    assert segment("shots", "--out", "out", "--format", "labels", "--json").json["images"]
    assert os.path.isfile(os.fsencode(tmp_path / "out") + b"/caf\xe9.png")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text exist on Linux only")
def test_a_name_that_is_no_text_in_formats_with_names(
    segment: Any, draw: Any, tmp_path: Path
) -> None:
    draw("shots/two.png")
    os.rename(draw("shots/one.png"), os.fsencode(tmp_path / "shots") + b"/caf\xe9.png")
    outcome = segment("shots", "--out", "out", "--format", ",".join(SINKS))
    assert outcome.code == 1
    assert r"caf\udce9.png has bytes that are not text" in outcome.err
    assert "formats csv, parquet, coco, panoptic, cvat and 4 more" in outcome.err
    assert (tmp_path / "out/two.png").exists()


def test_more_classes_than_a_byte_holds(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png")
    words = ",".join(f"word {index}" for index in range(300))
    assert segment("one.png", "--out", "out", classes=words).code == 0
    assert decode_labels(tmp_path / "out/one.png").dtype == np.uint16
    assert len(json.loads((tmp_path / "out/classes.json").read_text())["classes"]) == 300


@pytest.mark.usefixtures("progress_shown")
def test_quiet_says_nothing(segment: Any, draw: Any, tmp_path: Path) -> None:
    preset = {"source": "test", "ssr": {"layers": [1]}, "she": {"heads": [[1, 1]]}}
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    draw("one.png")
    assert segment("one.png", "--quiet", "--preset", "preset.json").err == ""
    loud = segment("one.png", "--overwrite", "--preset", "preset.json").err
    assert re.search("images.* 1/1 ", loud)
