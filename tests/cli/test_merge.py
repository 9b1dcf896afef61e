"""`--shard` and `lhtclip merge` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import Draw, Run


@pytest.fixture
def photos(draw: Draw, tmp_path: Path) -> Path:
    for seed in range(10):
        draw(f"photos/{seed}.png", seed=seed)
    return tmp_path / "photos"


def results(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if ".lhtclip" not in path.parts and path.name != "manifest.jsonl"
    }


def test_segment_in_shards(segment: Run, lhtclip: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    given = (photos, "--format", "labels,coco", "--quiet")
    segment(*given, "--out", tmp_path / "whole")
    first = segment(*given[:-1], "--out", "parts", "--shard", "1/2")
    assert first.code == 0
    assert "lhtclip merge parts" in first.err
    early = lhtclip("merge", "parts", "--json")
    assert early.code == 1
    assert early.json["run_again"] == ["2/2"]
    assert len(early.json["missing"]) == 3
    assert "again, then merge: 2/2" in early.err
    assert segment(*given, "--out", "parts", "--shard", "2/2").code == 1  # broken.png
    merged = lhtclip("merge", "parts")
    assert merged.code == 1
    assert "11 images: 10 done, 1 failed, 0 missing" in merged.err
    assert "broken.png is not an image" in merged.err
    assert [path.name for path in merged.paths] == ["manifest.jsonl", "instances_default.json"]
    assert results(tmp_path / "parts") == results(tmp_path / "whole")


def test_evaluate_in_shards(lhtclip: Run, checkpoint: Path, draw: Draw, tmp_path: Path) -> None:
    for seed in range(9):
        draw(f"own/images/{seed}.png", seed=seed)
        (tmp_path / "own/masks").mkdir(exist_ok=True)
        Image.new("L", (56, 40), seed % 3).save(tmp_path / f"own/masks/{seed}.png")
    (tmp_path / "own/classes.txt").write_text("cat\ngrass\nsky\n")
    fast = ("--model", checkpoint, "--templates", "plain", "--dtype", "float32", "--quiet")
    given = ("evaluate", "folder", "--root", "own", *fast, "--short-side", 32, "--window", 32)
    given = (*given, "--stride", 16)
    whole: Any = lhtclip(*given, "--out", "whole")
    assert whole.code == 0
    for shard in ("2/2", "1/2"):
        part = lhtclip(*given, "--out", "parts", "--shard", shard)
        assert (part.code, part.out) == (0, "")
        assert "lhtclip merge parts" in part.err
        if shard == "2/2":
            assert "then merge: 1/2" in lhtclip("merge", "parts").err
    merged = lhtclip("merge", "parts")
    assert merged.code == 0
    assert merged.out.split()[:-1] == whole.out.split()[:-1]  # but for images/s
    name = "own.json"
    one, sum_ = (json.loads((tmp_path / place / name).read_text()) for place in ("whole", "parts"))
    assert one["classes"] == sum_["classes"]
    assert (tmp_path / "parts/report.md").exists()


def test_a_merge_of_counts_looks_at_files_again(
    lhtclip: Run, checkpoint: Path, draw: Draw, tmp_path: Path
) -> None:
    image = draw("own/images/0.png", seed=0)
    (tmp_path / "own/masks").mkdir()
    Image.new("L", (56, 40), 1).save(tmp_path / "own/masks/0.png")
    (tmp_path / "own/classes.txt").write_text("cat\ngrass\n")
    fast = ("--model", checkpoint, "--templates", "plain", "--dtype", "float32", "--quiet")
    given = ("evaluate", "folder", "--root", "own", *fast, "--no-check", "--shard", "1/1")
    assert lhtclip(*given, "--out", "parts").code == 0
    draw("own/images/0.png", seed=1)
    outcome = lhtclip("merge", "parts")
    assert outcome.code == 2
    assert "of 0 has changed since" in outcome.err
    counts = tmp_path / "parts/.lhtclip/evaluations/own/1-of-1.npz"
    assert f"Delete {counts.relative_to(tmp_path)}, run the shard again" in outcome.err
    assert lhtclip(*given, "--out", "parts").code == 2
    counts.unlink()  # the remedy
    assert lhtclip(*given, "--out", "parts").code == 0
    assert lhtclip("merge", "parts").code == 0
    image.unlink()
    assert lhtclip("merge", "parts").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("segment", "p", "--classes", "a", "--shard", "3/2"), "3/2"),
        (("segment", "p", "--classes", "a", "--shard", "half"), "'half'"),
        (("evaluate", "scenes", "--shard", "1/2", "--overwrite"), "--overwrite does not go"),
        (("evaluate", "scenes", "--shard", "1/2", "--gallery", 3), "--gallery does not go"),
        (("merge", "nowhere"), "nowhere holds no shards"),
    ],
)
def test_what_does_not_work(lhtclip: Run, arguments: tuple[object, ...], message: str) -> None:
    outcome = lhtclip(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
