"""Results in a bucket are those in a folder; the stages run without Ray."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lhtclip import InputError, OutputError, SegmenterConfig, Vocabulary, label_files
from lhtclip.batch.record import describe
from lhtclip.cli import main
from lhtclip.formats import open_sinks
from lhtclip.formats.sink import OutputOptions
from lhtclip.ray.buckets import Bucket, BucketResults, finish, settle
from lhtclip.ray.segment import write_ends
from lhtclip.ray.sources import Found, find_units
from lhtclip.ray.stages import LabelImages, read_images, row_of, write_results
from tests.ray.conftest import draw, files_of

fsspec = pytest.importorskip("fsspec")
WORDS = Vocabulary.of("dog, sky")
FORMATS = ("labels", "scores", "coco")
OUT = "memory://results/masks"


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty file system in memory, which has folders of objects as buckets do."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(11):
        draw(folder / "ab"[seed % 2] / f"{seed:02d} [{seed}].png", seed)
    (folder / "a/broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def whole(
    photos: Path, config: SegmenterConfig, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The results of one process."""
    out = tmp_path_factory.mktemp("whole")
    label_files(photos, WORDS, out, config=config, formats=FORMATS)
    return files_of(out)


def run(found: Found, config: SegmenterConfig) -> list[dict[str, Any]]:
    """A run of the three stages in this process; returns the outcomes."""
    bucket, sinks = Bucket(OUT), open_sinks(FORMATS, WORDS)
    settle(bucket, describe(WORDS, config.to_json(), sinks))
    results = BucketResults(bucket, FORMATS, OutputOptions(), WORDS)
    label = LabelImages(config, WORDS, maps=results.maps)
    rows = [
        row
        for unit in found.units
        for chunk in read_images(row_of(unit), results=results, config=config)
        for row in write_results(label(chunk), results=results)
    ]
    failed = {row["image"]: row["reason"] for row in rows if row["reason"]}
    finish(bucket, lambda folder: write_ends(folder, failed, sinks))
    return rows


def results_in(memory: Any) -> dict[str, bytes]:
    names = {path.removeprefix("/results/masks/") for path in memory.find("/results/masks")}
    return {
        name: memory.cat_file(f"/results/masks/{name}")
        for name in sorted(names)
        if not name.startswith(".lhtclip") and name not in ("manifest.jsonl", "classes.json")
    }


def test_objects_are_the_files_of_one_process_and_a_second_run_mends_them(
    memory: Any, photos: Path, whole: dict[str, bytes], config: SegmenterConfig
) -> None:
    found = find_units([f"file://{photos}"], OUT, open_sinks(FORMATS, WORDS))
    expected = {name: content for name, content in whole.items() if name != "classes.json"}
    rows = run(found, config)
    assert sum(row["skipped"] for row in rows) == 0
    assert results_in(memory) == expected
    lines = [json.loads(line) for line in memory.cat("/results/masks/manifest.jsonl").splitlines()]
    assert [line["state"] for line in lines] == ["done"] * 11 + ["failed"]
    memory.rm_file("/results/masks/a/00 [0].png")
    memory.pipe_file("/results/masks/b/01 [1].scores.npz", b"damaged")
    rows = run(found, config)
    again = {row["image"] for row in rows if not row["skipped"] and not row["reason"]}
    assert again == {"a/00 [0].png", "b/01 [1].png"}
    assert results_in(memory) == expected


def test_other_results_in_the_bucket_are_kept(
    memory: Any, photos: Path, config: SegmenterConfig
) -> None:
    bucket, sinks = Bucket(OUT), open_sinks(FORMATS, WORDS)
    record = describe(WORDS, config.to_json(), sinks)
    memory.pipe_file("/results/masks/a.png", b"mine")
    with pytest.raises(InputError, match=r"masks holds files already.*--out"):
        settle(bucket, record)
    memory.rm_file("/results/masks/a.png")
    settle(bucket, record)
    other = describe(Vocabulary.of("car, road"), config.to_json(), sinks)
    with pytest.raises(InputError, match=r"memory://results/masks holds results for other words"):
        settle(bucket, other)
    memory.pipe_file("/results/masks/classes.json", b"{")
    with pytest.raises(InputError, match=r"masks/classes\.json is not understood"):
        settle(bucket, record)


def test_results_among_the_images_are_not_labelled(memory: Any) -> None:
    for name in ("one.png", "masks/one.png", "masks-of-others/two.png"):
        memory.pipe_file(f"/results/{name}", b"image")
    found = find_units(["memory://results"], OUT, open_sinks("labels", WORDS))
    names = [job.name.path.as_posix() for job in found.jobs or ()]
    assert names == ["masks-of-others/two.png", "one.png"]
    with pytest.raises(InputError, match=r"Two images are called one\.png"):
        find_units(["memory://results", "memory://results/masks"], "x", {})


def test_what_cannot_be_reached_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OutputError, match=r"Cannot list nowhere://bucket.*nowhere"):
        Bucket("nowhere://bucket").names()
    given = ["segment", "photos", "--classes", "dog", "--out", "s3://bucket/masks"]
    assert main(given) == 2
    assert "s3://bucket/masks is in a bucket: only --ray" in capsys.readouterr().err
