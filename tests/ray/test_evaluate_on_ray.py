"""Counting on a real Ray cluster on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip.cli import main
from tests.ray.conftest import actors, draw

IMAGES = 150  # three shards
GIVEN = (
    *("evaluate", "folder", "--root", "own", "--model", "bundled", "--templates", "plain"),
    *("--short-side", "32", "--window", "32", "--stride", "32", "--dtype", "float32"),
    *("--device", "cpu", "--quiet"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a data set of its own, and the counts of one process in `whole`."""
    monkeypatch.chdir(tmp_path)
    for seed in range(IMAGES):
        draw(tmp_path / f"own/images/{seed:03d}.png", seed)
        mask = np.random.default_rng(seed).integers(0, 2, (4, 6), dtype=np.uint8)
        (tmp_path / "own/masks").mkdir(exist_ok=True)
        large = mask.repeat(8, 0).repeat(8, 1)
        Image.fromarray(large).save(tmp_path / f"own/masks/{seed:03d}.png")
    (tmp_path / "own/classes.txt").write_text("dog\nsky\n")
    return tmp_path


def check(folder: Path) -> None:
    with (
        np.load(folder / "whole/own.confusion.npz") as one,
        np.load(folder / "parts/own.confusion.npz") as parts,
    ):
        for name in ("confusion", "image_iou", "keys", "names", "settings"):
            np.testing.assert_array_equal(one[name], parts[name])
    shards = sorted((folder / "parts/.lhtclip/evaluations/own").glob("*.json"))
    assert [json.loads(path.read_text())["images"] for path in shards] == [54, 48, 48]


@pytest.mark.usefixtures("cluster")
def test_counts_are_those_of_one_process(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, "--out", "whole"]) == 0
    whole = capsys.readouterr().out
    assert main([*GIVEN, "--out", "parts", "--ray"]) == 0
    assert capsys.readouterr().out.split()[:-1] == whole.split()[:-1]  # but for images/s
    check(folder)


def test_an_actor_dies(cluster: Any, folder: Path) -> None:
    assert main([*GIVEN, "--out", "whole"]) == 0
    command = [sys.executable, "-m", "lhtclip", *GIVEN, "--out", "parts", "--ray", cluster.address]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not (found := actors("CountShards")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.kill(found[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=480)
    assert process.returncode == 0, errors.decode()
    check(folder)
