"""The parts of a run on Ray that need no Ray: labelling batches, planning workers, units."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lhtclip import InputError, Segmenter, SegmenterConfig, Vocabulary
from lhtclip.formats import open_sinks
from lhtclip.output.png import decode_labels
from lhtclip.ray import SegmentBatches
from lhtclip.ray.cluster import Workers, WorkerSettings, plan_workers
from lhtclip.ray.results import TableResults
from lhtclip.ray.sources import find_units
from lhtclip.ray.stages import LabelImages, read_images, row_of, write_results
from lhtclip.ray.units import Unit
from tests.ray.conftest import draw

WORDS = Vocabulary.of("dog, sky")


def test_batches_of_a_pipeline(config: SegmenterConfig, tmp_path: Path) -> None:
    files = [draw(tmp_path / f"{seed}.png", seed).read_bytes() for seed in range(3)]
    batch = {"bytes": np.array([files[0], b"no picture", *files[1:]], dtype=object)}
    batch["path"] = np.array(list("abcd"))
    label = SegmentBatches(config, "dog, sky")
    found = label(batch)
    assert list(found["path"]) == list("abcd")
    assert "not an image" in found["error"][1]
    assert found["labels"][1] == b""
    alone = Segmenter.from_config(config).segment(files, "dog, sky")
    for place, expected in zip((0, 2, 3), alone, strict=True):
        np.testing.assert_array_equal(decode_labels(found["labels"][place]), expected.labels)
        np.testing.assert_allclose(found["shares"][place], list(expected.coverage().values()))
        winner = int(np.argmax(found["shares"][place]))
        mean = expected.scores[expected.labels == winner].mean()
        assert found["scores"][place][winner] == pytest.approx(mean, rel=1e-5)
    with pytest.raises(InputError, match="no column 'bytes' among path"):
        label({"path": batch["path"]})


@pytest.mark.parametrize(
    ("machines", "wanted", "expected"),
    [
        ([{"CPU": 8.0}], WorkerSettings(), Workers(7, 1, 0.0, 1)),
        ([{"CPU": 8.0}], WorkerSettings(cpus=3), Workers(2, 3, 0.0, 2)),
        ([{"CPU": 5.0}, {"CPU": 3.0}], WorkerSettings(cpus=3), Workers(2, 3, 0.0, 2)),
        ([{"CPU": 64.0, "GPU": 8.0}], WorkerSettings(), Workers(8, 1, 1.0, 56)),
        ([{"CPU": 64.0, "GPU": 8.0}], WorkerSettings(gpus=0.5), Workers(16, 1, 0.5, 48)),
        ([{}, {"CPU": 64.0, "GPU": 8.0}], WorkerSettings(count=3), Workers(3, 1, 1.0, 61)),
    ],
)
def test_workers_leave_a_cpu_free(
    machines: list[dict[str, float]], wanted: WorkerSettings, expected: Workers
) -> None:
    assert plan_workers(machines, wanted) == expected


@pytest.mark.parametrize(
    ("machines", "wanted"),
    [
        ([{"CPU": 1.0}], WorkerSettings()),
        ([{"CPU": 2.0}], WorkerSettings(count=2)),
        ([{"CPU": 16.0, "GPU": 1.0}], WorkerSettings(count=2)),
        ([{"CPU": 4.0}], WorkerSettings(cpus=4)),
        ([{"CPU": 4.0}, {"CPU": 4.0}], WorkerSettings(cpus=5)),  # no machine has as many
        ([{}], WorkerSettings()),
    ],
)
def test_clusters_that_are_too_small(
    machines: list[dict[str, float]], wanted: WorkerSettings
) -> None:
    cpus = sum(each.get("CPU", 0) for each in machines)
    with pytest.raises(InputError, match=f"has {cpus:g} CPUs .*--ray-workers"):
        plan_workers(machines, wanted)
    with pytest.raises(InputError, match="at least 1"):
        WorkerSettings(cpus=0)


def images(tmp_path: Path, count: int) -> dict[str, bytes]:
    return {
        f"{seed:02d}.png": draw(tmp_path / "drawn" / f"{seed}.png", seed).read_bytes()
        for seed in range(count)
    }


def write_parquet(path: Path, content: dict[str, bytes]) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {"path": list(content), "bytes": list(content.values()), "other": [1] * len(content)}
    )
    parquet.write_table(table, path, row_group_size=10)


def write_tar(path: Path, content: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in content.items():
            for suffix, held in ((".png", data), (".cls", b"7")):
                member = tarfile.TarInfo(name.removesuffix(".png") + suffix)
                member.size = len(held)
                tar.addfile(member, io.BytesIO(held))


@pytest.mark.parametrize("kind", ["parquet", "tar", "bucket"])
def test_rows_with_images_in_them_become_a_table(
    kind: str, config: SegmenterConfig, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    content = images(tmp_path, 21) | {"zz.png": b"no picture"}
    (tmp_path / "in").mkdir()
    if kind == "bucket":
        for name, data in content.items():
            (tmp_path / "in" / name).write_bytes(data)
    else:
        write = write_parquet if kind == "parquet" else write_tar
        write(tmp_path / f"in/one.{kind}", content)
    given = f"file://{tmp_path}/in" if kind == "bucket" else str(tmp_path / "in")
    found = find_units([given], tmp_path / "out", open_sinks("labels", WORDS))
    assert found.total == {"parquet": 22, "tar": 0, "bucket": 22}[kind]
    results = TableResults.of(str(tmp_path / "out"), WORDS, {})
    label = LabelImages(config, WORDS)

    def run(units: list[Unit]) -> list[dict[str, Any]]:
        return [
            row
            for unit in units
            for chunk in read_images(row_of(unit), results=results, config=config)
            for row in write_results(label(chunk), results=results)
        ]

    first = run(list(found.units))
    assert sum(not row["reason"] for row in first) == 21
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    again = run(list(found.units))
    assert [row["image"] for row in again if row["reason"]] == [
        row["image"] for row in first if row["reason"]
    ]
    assert all(row["skipped"] for row in again)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    rows = {row["path"].rpartition("/")[2]: row for row in rows}
    assert set(rows) == set(content)
    assert "not an image" in rows["zz.png"]["error"]
    result = Segmenter.from_config(config).segment(content["07.png"], WORDS)
    np.testing.assert_array_equal(decode_labels(rows["07.png"]["labels"]), result.labels)
    assert rows["07.png"]["shares"] == list(result.coverage().values())
