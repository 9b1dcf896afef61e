"""Labelling on a real Ray cluster on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lhtclip import InputError, OutputError, SegmenterConfig, Vocabulary, label_files
from lhtclip.formats import open_sinks
from lhtclip.ray.cluster import WorkerSettings
from lhtclip.ray.segment import label_into_folder, label_into_table
from lhtclip.ray.sources import find_units
from tests.ray.conftest import FullDisk, draw, files_of

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


@pytest.mark.usefixtures("cluster")
def test_a_full_disk_is_one_clear_error(
    photos: Path, config: SegmenterConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lhtclip.ray.segment.FolderResults", FullDisk)
    with pytest.raises(OutputError, match=r"^Cannot write into .*No space left on device\.$"):
        run(photos, tmp_path / "out", config)


@pytest.mark.usefixtures("cluster")
def test_a_table_in_and_a_table_out(photos: Path, config: SegmenterConfig, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    files = sorted(photos.rglob("*.png"))
    names = [path.relative_to(photos).as_posix() for path in files]
    content = {"path": names, "bytes": [path.read_bytes() for path in files]}
    for part in (0, 1):
        half = {name: column[part::2] for name, column in content.items()}
        pyarrow.parquet.write_table(pyarrow.table(half), tmp_path / f"{part}.parquet")
    found = find_units([str(tmp_path / "*.parquet")], tmp_path / "out", {})
    running = label_into_table(found, WORDS, str(tmp_path / "out"), config=config)
    assert (running.total, running.done, list(running.failed)) == (41, 40, ["a/broken.png"])
    rows = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    assert sorted(row["path"] for row in rows) == names
    assert len({row["fingerprint"] for row in rows}) == 1
    again = label_into_table(found, WORDS, str(tmp_path / "out"), config=config)
    assert (again.skipped, again.failed) == (40, running.failed)
    other = Vocabulary.of("car, road")
    with pytest.raises(InputError, match="other classes or settings"):
        label_into_table(found, other, str(tmp_path / "out"), config=config)
