"""Whatever is wrong is told in one line, before any work, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lhtclip.batch.label_files


@pytest.fixture(autouse=True)
def _no_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a model was loaded for input that cannot be used")

    monkeypatch.setattr(lhtclip.batch.label_files.Segmenter, "from_config", refuse)


def check(outcome: Any, *parts: str) -> None:
    assert outcome.code == 2
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith("lhtclip: ")
    for part in parts:
        assert part in outcome.err
    assert not Path("lhtclip-out").exists()


def test_no_such_file(segment: Any) -> None:
    check(segment("nowhere.jpg"), "nowhere.jpg")


def test_one_missing_among_others(segment: Any, draw: Any) -> None:
    draw("one.png")
    check(segment("one.png", "nowhere.jpg"), "nowhere.jpg")


def test_folder_without_images(segment: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    check(segment("empty"), "empty")


def test_truncated_image(segment: Any, draw: Any) -> None:
    path = draw("one.png", height=200, width=300)
    path.write_bytes(path.read_bytes()[:200])
    check(segment("one.png"), "one.png")


def test_text_called_png(segment: Any, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_text("Dear diary")
    check(segment("one.png"), "one.png", "not an image")


def test_empty_file(segment: Any, tmp_path: Path) -> None:
    (tmp_path / "one.png").touch()
    check(segment("one.png"), "one.png")


def test_image_beyond_max_pixels(segment: Any, draw: Any) -> None:
    draw("one.png", height=40, width=56)
    check(segment("one.png", "--max-pixels", 40 * 56 - 1), "max_pixels=2239")


@pytest.mark.parametrize(
    ("classes", "part"),
    [
        ("", "class"),
        (" , ", "Empty"),
        ("cat,,sky", "Empty"),
        ("cat, sky, Cat", "twice"),
        ("cat|sky, sky", "'sky'"),
    ],
)
def test_words(segment: Any, draw: Any, classes: str, part: str) -> None:
    draw("one.png")
    check(segment("one.png", classes=classes), part)


def test_both_ways_to_give_words(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png")
    (tmp_path / "words.txt").write_text("cat\n")
    check(segment("one.png", "--classes-file", "words.txt"), "not both")


def test_no_words(segment: Any, draw: Any) -> None:
    draw("one.png")
    check(segment("one.png", classes=None), "--classes")


def test_no_such_classes_file(segment: Any, draw: Any) -> None:
    draw("one.png")
    check(segment("one.png", "--classes-file", "nowhere.txt", classes=None), "nowhere.txt")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--method", "slcip"], ["'slcip'", "Did you mean 'sclip'?"]),
        (["--format", "labels,overlya"], ["'overlya'", "Did you mean 'overlay'?"]),
        (["--format", ""], ["empty value after --format"]),
        (["--out", ""], ["empty value after --out"]),
        (["--preset="], ["empty value after --preset", "variable"]),
        (["--templates", "imagnet80"], ["Did you mean 'imagenet80'?"]),
        (["--dtype", "float61"], ["Did you mean 'float16'?"]),
        (["--device", "abacus"], ["'abacus'"]),
        (["--threshold", "1.5"], ["threshold"]),
        (["--threshold", "nan"], ["threshold"]),
        (["--threshold", "high"], ["--threshold"]),
        (["--short-side", "0"], ["short_side"]),
        (["--stride", "0"], ["stride"]),
        (["--batch", "-1"], ["batch"]),
        (["--window", "-1"], ["--window"]),
        (["--logit-scale", "0"], ["--logit-scale"]),
        (["--logit-scale", "nan"], ["logit_scale"]),
        (["--max-pixels", "0"], ["--max-pixels"]),
        (["--preset", "nowhere.json"], ["nowhere.json"]),
        (["--background", "wall||floor"], ["Empty"]),
        (["--model", "ViT-B-61"], ["Did you mean 'ViT-B-16'?"]),
        (["--sclip"], ["--sclip", "lhtclip segment --help"]),
    ],
)
def test_options(segment: Any, draw: Any, options: list[str], parts: list[str]) -> None:
    draw("one.png")
    check(segment("one.png", *options), *parts)


def test_no_image(segment: Any) -> None:
    check(segment(), "IMAGE|FOLDER|GLOB")


def test_out_is_a_file(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png")
    (tmp_path / "out").write_text("mine")
    check(segment("one.png", "--out", "out"), "out is not a folder")
    check(segment("one.png", "--out", "out/deeper/still"), "out is not a folder")
    assert (tmp_path / "out").read_text() == "mine"


def test_two_images_of_one_name(segment: Any, draw: Any) -> None:
    first, second = draw("a/one.jpg"), draw("b/one.jpg")
    check(segment(first, second), "a/one.jpg", "b/one.jpg", "would both become")


def test_one_result_that_is_the_mask_of_another(segment: Any, draw: Any) -> None:
    draw("shots/one.jpg")
    draw("shots/one.cat.mask.jpg")
    check(segment("shots", "--format", "labels,binary"), "would both become")


def test_results_that_would_replace_images(segment: Any, draw: Any) -> None:
    path = draw("one.png")
    before = path.read_bytes()
    check(segment("one.png", "--out", ".", "--overwrite"), "would replace the image")
    assert path.read_bytes() == before
    draw("shots/one.jpg")
    check(segment("shots", "--out", "shots"), "share the folder")


def test_unknown_command(lhtclip: Any) -> None:
    check(lhtclip("segmnet", "one.png"), "Did you mean 'segment'?")


def test_unknown_option_of_the_program(lhtclip: Any) -> None:
    check(lhtclip("--colour"), "--colour", "lhtclip --help")


def test_download_of_a_misspelt_model(lhtclip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check(lhtclip("download", "ViT-B-16", "Vit-B-23"), "Did you mean 'ViT-B-32'?")


def test_demo_without_scenes(lhtclip: Any, tmp_path: Path) -> None:
    check(lhtclip("demo", "--scenes", "nowhere"), "nowhere")
    (tmp_path / "scenes.json").write_text('{"scenes": [{"image": "a.png"}]}')
    check(lhtclip("demo", "--scenes", "."), "scenes.json")
    assert not Path("demo").exists()
