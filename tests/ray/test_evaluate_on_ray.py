"""Counting on a real Ray cluster on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhtclip.cli import main
from tests.ray.conftest import draw

IMAGES = 70  # more than one shard


@pytest.mark.usefixtures("cluster")
def test_counts_are_those_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(IMAGES):
        draw(tmp_path / f"own/images/{seed:02d}.png", seed)
        mask = np.random.default_rng(seed).integers(0, 2, (4, 6), dtype=np.uint8)
        (tmp_path / "own/masks").mkdir(exist_ok=True)
        Image.fromarray(mask.repeat(8, 0).repeat(8, 1)).save(tmp_path / f"own/masks/{seed:02d}.png")
    (tmp_path / "own/classes.txt").write_text("dog\nsky\n")
    given = ["evaluate", "folder", "--root", "own", "--model", "bundled", "--templates", "plain"]
    given += ["--short-side", "32", "--window", "32", "--stride", "32", "--dtype", "float32"]
    given += ["--device", "cpu", "--quiet"]
    assert main([*given, "--out", "whole"]) == 0
    whole = capsys.readouterr().out
    assert main([*given, "--out", "parts", "--ray"]) == 0
    assert capsys.readouterr().out.split()[:-1] == whole.split()[:-1]  # but for images/s
    one, all_ = (np.load(tmp_path / out / "own.confusion.npz") for out in ("whole", "parts"))
    for name in ("confusion", "image_iou", "keys", "names", "settings"):
        np.testing.assert_array_equal(one[name], all_[name])
    shards = sorted((tmp_path / "parts/.lhtclip/evaluations/own").glob("*.json"))
    assert [json.loads(path.read_text())["images"] for path in shards] == [38, 32]
