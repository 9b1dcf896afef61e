"""Labelling on a real Ray cluster on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lhtclip import InputError, OutputError, SegmenterConfig, Vocabulary, label_files
from lhtclip.cli import main
from lhtclip.formats import open_sinks
from lhtclip.ray.cluster import WorkerSettings
from lhtclip.ray.segment import label_into_folder, label_into_table
from lhtclip.ray.sources import find_units
from tests.ray.conftest import FullDisk, draw, files_of, node_settings

FORMATS = ("labels", "scores", "coco", "csv")
WORDS = Vocabulary.of("dog, sky")
IMAGES = 300


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(IMAGES):
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


@pytest.fixture(params=[1, 2])
def nodes(request: pytest.FixtureRequest, cluster: Any) -> Iterator[int]:
    """The cluster with so many nodes."""
    more = [cluster.add_node(**node_settings(2)) for _ in range(request.param - 1)]
    yield request.param
    for node in more:
        cluster.remove_node(node)


def test_files_are_those_of_one_process(
    photos: Path, whole: Path, config: SegmenterConfig, tmp_path: Path, nodes: int
) -> None:
    running = run(photos, tmp_path / "out", config)
    assert (running.done, running.skipped, list(running.failed)) == (IMAGES, 0, ["a/broken.png"])
    assert running.workers == 2 * nodes - 1
    assert files_of(tmp_path / "out") == files_of(whole)
    manifest = (tmp_path / "out/manifest.jsonl").read_text()
    assert (manifest.count('"done"'), manifest.count('"failed"')) == (IMAGES, 1)
    for lost in ("a/000.png", "b/001.scores.npz"):
        (tmp_path / "out" / lost).unlink()
    running = run(photos, tmp_path / "out", config, wanted=WorkerSettings(count=1))
    assert (running.done, running.skipped) == (IMAGES, IMAGES - 2)
    assert files_of(tmp_path / "out") == files_of(whole)


@pytest.fixture
def s3(cluster: Any) -> Iterator[Any]:
    """The file system of a service like S3, with an empty bucket."""
    server = pytest.importorskip("moto.server", reason="needs moto: make test-ray")
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs: make test-ray")
    port = int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2])
    service = server.ThreadedMotoServer("127.0.0.1", port, verbose=False)
    service.start()
    filesystem = s3fs.S3FileSystem()
    filesystem.mkdir("bucket")
    yield filesystem
    service.stop()


def test_a_bucket_in_and_a_bucket_out(s3: Any, cluster: Any, tmp_path: Path, capfd: Any) -> None:
    photos = tmp_path / "photos"
    for seed in range(20):
        draw(photos / f"{seed % 3}/ü {seed:03d}.png", seed)
    (photos / "0/broken.png").write_bytes(b"no picture")
    s3.put(f"{photos}/", "bucket/photos/", recursive=True)
    given = ["--classes", "dog, sky", "--format", ",".join(FORMATS), "--model", "bundled"]
    given += ["--templates", "plain", "--short-side", "32", "--window", "32", "--stride", "32"]
    given += ["--dtype", "float32", "--device", "cpu", "--json"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main(["segment", str(photos), *given, "--out", str(tmp_path / "one")]) == 1
    torch.set_num_threads(threads)
    capfd.readouterr()
    expected = files_of(tmp_path / "one")
    given += ["--out", "s3://bucket/masks", "--ray", cluster.address]
    for skipped in (0, 20):
        assert main(["segment", "s3://bucket/photos", *given]) == 1
        said = json.loads(capfd.readouterr().out)
        assert (said["done"], said["skipped"], list(said["failed"])) == (
            20,
            skipped,
            ["0/broken.png"],
        )
        assert said["files"][0] == "s3://bucket/masks/manifest.jsonl"
        s3.invalidate_cache()
        s3.get("bucket/masks/", f"{tmp_path}/{skipped}/", recursive=True)
        made = files_of(tmp_path / str(skipped))
        assert made.keys() == expected.keys()
        assert [name for name in made if made[name] != expected[name]] in ([], ["classes.json"])


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
    counts = (running.total, running.done)
    assert (*counts, list(running.failed)) == (IMAGES + 1, IMAGES, ["a/broken.png"])
    rows = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    assert sorted(row["path"] for row in rows) == names
    assert len({row["fingerprint"] for row in rows}) == 1
    again = label_into_table(found, WORDS, str(tmp_path / "out"), config=config)
    assert (again.skipped, again.failed) == (IMAGES, running.failed)
    other = Vocabulary.of("car, road")
    with pytest.raises(InputError, match="other classes or settings"):
        label_into_table(found, other, str(tmp_path / "out"), config=config)
