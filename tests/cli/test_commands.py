from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip.checkpoints.known_models import KNOWN_MODELS
from lhtclip.cli import COMMANDS, group
from lhtclip.cli.segment import command as segment_command
from lhtclip.datasets.scene_files import save_scenes
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import METHODS


@pytest.fixture(autouse=True)
def _empty_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_bare_call_shows_the_help(lhtclip: Any) -> None:
    outcome = lhtclip()
    assert outcome.code == 0
    assert all(name in outcome.out for name in COMMANDS)


def test_every_command_has_its_module_and_help(lhtclip: Any) -> None:
    for name, text in COMMANDS.items():
        outcome = lhtclip(name, "--help")
        assert outcome.code == 0
        assert f"lhtclip {name}" in outcome.out
        assert text.endswith(".")
    assert list(group.commands) == []  # none is registered, all are found by name


def test_version(lhtclip: Any) -> None:
    from lhtclip import __version__

    assert lhtclip("--version").out.split() == ["lhtclip", __version__]


def test_defaults_are_those_of_the_library() -> None:
    defaults = {option.name: option.default for option in segment_command.params}
    windows = WindowSettings()
    for name in ("short_side", "window", "stride", "batch"):
        assert defaults[name] == getattr(windows, name)
    assert defaults["max_pixels"] == MAX_PIXELS


def test_methods(lhtclip: Any) -> None:
    rows = lhtclip("methods").out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == list(METHODS)
    entries = lhtclip("methods", "--json").json
    assert [entry["name"] for entry in entries] == list(METHODS)
    sclip = next(entry for entry in entries if entry["name"] == "sclip")
    assert (sclip["residual"], sclip["mlp"]) == (True, True)


def test_models(lhtclip: Any) -> None:
    rows = lhtclip("models").out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == [model.name for model in KNOWN_MODELS]
    entries = {entry["name"]: entry for entry in lhtclip("models", "--json").json}
    assert entries["ViT-B-16"]["hub_id"] == "openai/clip-vit-base-patch16"
    assert entries["ViT-B-16"]["folder"] is None
    assert entries["bundled"]["hub_id"] is None
    assert (entries["ViT-B-16"]["licence"], entries["ViT-B-16"]["limits"]) == ("MIT", None)
    assert entries["ViT-B-16-metaclip"]["limits"] == "no commercial use"


def test_download_prints_the_folder(lhtclip: Any, checkpoint: Path) -> None:
    outcome = lhtclip("download", checkpoint, checkpoint)
    assert outcome.code == 0
    assert outcome.paths == [checkpoint, checkpoint]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    pictures = []
    for classes in ([["cat"], ["sky"]], [["grass", "lawn"], ["sky"], ["car"]]):
        image = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        labels = generator.integers(0, len(classes), (48, 64), dtype=np.uint8)
        labels[:4] = 255
        pictures.append((image, labels, classes))
    save_scenes(tmp_path / "scenes", pictures)
    return tmp_path / "scenes"


def test_demo(lhtclip: Any, checkpoint: Path, scenes: Path, tmp_path: Path) -> None:
    outcome = lhtclip("demo", "--model", checkpoint, "--scenes", scenes, "--out", "pictures")
    assert outcome.code == 0, outcome.err
    header, *rows = outcome.out.splitlines()
    assert header.split() == ["method", "mIoU"]
    table, paths = rows[:3], [Path(row) for row in rows[3:]]
    assert [row.rsplit(maxsplit=1)[0].strip() for row in table] == ["CLIP", "SCLIP", "SCLIP + LHT"]
    assert all(0 <= float(row.split()[-1]) <= 100 for row in table)
    assert paths == [
        *(
            Path(f"pictures/scene-0{number}.{kind}.png")
            for number in (1, 2)
            for kind in ("overlay", "compare")
        ),
        Path("pictures/contact-sheet.png"),
    ]
    assert "lhtclip serve" in outcome.err
    for path in paths:
        with Image.open(tmp_path / path) as picture:
            picture.load()
    with Image.open(tmp_path / "pictures/scene-01.compare.png") as sheet:
        assert sheet.width > 5 * 320  # five panels of more than 320 pixels each


def test_demo_limit(lhtclip: Any, checkpoint: Path, scenes: Path, tmp_path: Path) -> None:
    outcome = lhtclip("demo", "--model", checkpoint, "--scenes", scenes, "--limit", 1, "--quiet")
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "contact-sheet.png",
        "scene-01.compare.png",
        "scene-01.overlay.png",
    ]


def test_a_word_of_warning_about_the_bundled_model(
    segment: Any, draw: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw("one.png")
    assert "emoji" not in segment("one.png", "--out", "first").err
    monkeypatch.setattr("lhtclip.checkpoints.hub.BUNDLED_FOLDER", checkpoint)
    outcome = segment("one.png", "--model", "bundled")
    assert outcome.code == 0
    assert outcome.err.count("emoji") == 1


def test_output_is_json_even_for_odd_words(segment: Any, draw: Any) -> None:
    draw("one.png")
    outcome = segment("one.png", "--json", classes="猫, café, 🐈")
    names = [entry["name"] for entry in json.loads(outcome.out)["classes"]]
    assert names == ["猫", "café", "🐈"]
