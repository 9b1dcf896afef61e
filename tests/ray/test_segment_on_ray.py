"""Labelling on a real Ray cluster on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lhtclip import SegmenterConfig, Vocabulary, label_files
from lhtclip.formats import open_sinks
from lhtclip.ray.cluster import WorkerSettings
from lhtclip.ray.segment import label_into_folder
from lhtclip.ray.sources import find_units
from tests.ray.conftest import draw, files_of

FORMATS = ("labels", "scores", "coco", "csv")
WORDS = Vocabulary.of("dog, sky")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(40):
        draw(folder / "abc"[seed % 3] / f"{seed:03d}.png", seed)
    (folder / "a/broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def whole(photos: Path, config: SegmenterConfig, tmp_path_factory: Any) -> Path:
    """The results of one process."""
    out, threads = tmp_path_factory.mktemp("whole"), torch.get_num_threads()
    torch.set_num_threads(1)
    label_files(photos, WORDS, out, config=config, formats=FORMATS)
    torch.set_num_threads(threads)
    return out


def run(photos: Path, out: Path, config: SegmenterConfig, **options: Any) -> Any:
    sinks = open_sinks(FORMATS, WORDS)
    found = find_units([str(photos)], out, sinks)
    return label_into_folder(found, WORDS, out, sinks, config=config, **options)


@pytest.mark.usefixtures("cluster")
def test_files_are_those_of_one_process(
    photos: Path, whole: Path, config: SegmenterConfig, tmp_path: Path
) -> None:
    running = run(photos, tmp_path / "out", config)
    assert (running.done, running.skipped, list(running.failed)) == (40, 0, ["a/broken.png"])
    assert files_of(tmp_path / "out") == files_of(whole)
    manifest = (tmp_path / "out/manifest.jsonl").read_text()
    assert (manifest.count('"done"'), manifest.count('"failed"')) == (40, 1)
    for lost in ("a/000.png", "b/001.scores.npz"):
        (tmp_path / "out" / lost).unlink()
    running = run(photos, tmp_path / "out", config, wanted=WorkerSettings(count=1))
    assert (running.done, running.skipped) == (40, 38)
    assert files_of(tmp_path / "out") == files_of(whole)
