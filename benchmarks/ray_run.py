"""What Ray costs: the speed of a run next to `lhtclip segment`, and the memory of its driver.

`python -m benchmarks.ray_run speed` labels the same photographs with one process and with one
actor, in turn; loading the model and starting the cluster do not count. `python -m
benchmarks.ray_run memory` labels Parquet tables of 1,000 to 100,000 rows. Only there the tower is
a stub, which finds the first class everywhere, and nothing is written.
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.cluster import SIZES, WORDS
from benchmarks.materials import save_photo
from lhtclip.batch.label_files import label_files
from lhtclip.config import SegmenterConfig
from lhtclip.formats import open_sinks
from lhtclip.ray import pipeline
from lhtclip.ray.cluster import Workers, connected
from lhtclip.ray.results import Outcome, TableResults
from lhtclip.ray.segment import label_into_folder
from lhtclip.ray.sources import find_units
from lhtclip.ray.stages import LabelledChunk, Row, row_of, value_of
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter

ROWS = (1_000, 10_000, 100_000)


def speed(*, photos: int, rounds: int, address: str | None) -> None:
    """Compare one actor with one process, round by round."""
    torch.set_num_threads(1)
    config = SegmenterConfig(model="bundled", device="cpu", dtype="float32", text_cache=False)
    shares: list[float] = []
    with TemporaryDirectory() as place, connected(address):
        folder = Path(place)
        for number in range(photos):
            save_photo(folder / f"photos/{number}.jpg", *SIZES[number % len(SIZES)], seed=number)
        segmenter = Segmenter.from_config(config)
        segmenter.texts.encode(WORDS.queries)
        for turn in range(rounds):
            start = time.perf_counter()
            label_files(folder / "photos", WORDS, folder / f"one-{turn}", segmenter=segmenter)
            alone = photos / (time.perf_counter() - start)
            out, sinks = folder / f"ray-{turn}", open_sinks("labels", WORDS)
            found = find_units([str(folder / "photos")], out, sinks)
            stamps: list[float] = []

            def stamp(_: object, stamps: list[float] = stamps) -> None:
                stamps.append(time.perf_counter())

            label_into_folder(found, WORDS, out, sinks, config=config, on_progress=stamp)
            rate = (len(stamps) - 8) / max(stamps[-1] - stamps[7], 1e-9)  # after the first chunk
            shares.append(rate / alone)
            print(
                f"one process {alone:.2f} images/s, one actor {rate:.2f}: {100 * shares[-1]:.0f} %"
            )
    print(f"median {100 * statistics.median(shares):.0f} %")


class Stub:
    """Stands in for `LabelImages`: the first class everywhere."""

    def __init__(self, *_: object) -> None:
        """Load nothing."""

    def __call__(self, row: Row) -> Row:
        """Label a chunk."""
        loaded = value_of(row)
        results = [
            (source.job, content.digest, _nothing(content.pixels.shape[:2]))
            for source, content in loaded.images
        ]
        return row_of(LabelledChunk(loaded.digest, results, loaded.outcomes))


class Nowhere(TableResults):
    """Writes nothing."""

    def write(self, chunk: str, labelled: Any, outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
        """Return what would be written."""
        yield from outcomes
        for job, *_ in labelled:
            yield Outcome(job.name.path.as_posix())


def memory(rows: int) -> None:
    """Run a table of so many rows, and print the driver's memory and speed."""
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, format="PNG")
    pipeline.LabelImages = Stub  # pyright: ignore[reportAttributeAccessIssue]
    with TemporaryDirectory() as place, connected(None) as ray:
        path = Path(place) / "rows.parquet"
        names = [f"images/{number:09d}.png" for number in range(rows)]
        table = pyarrow.table({"path": names, "bytes": [file.getvalue()] * rows})
        pyarrow.parquet.write_table(table, path, row_group_size=1000)
        del names, table
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = find_units([str(path)], Path(place) / "out", {})
        results = Nowhere.of(f"{place}/out", WORDS, {})
        start, done = time.perf_counter(), 0
        for _ in pipeline.outcomes_of(
            ray,
            found.units,
            results,
            config=SegmenterConfig(model="bundled"),
            vocabulary=WORDS,
            workers=Workers(1),
        ):
            done += 1
        seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{done} rows: driver {after:.0f} MiB at most ({before:.0f} MiB before the run), "
        f"{done / seconds:.0f} rows/s",
        flush=True,
    )


def _nothing(shape: tuple[int, int]) -> Segmentation:
    labels, scores = np.zeros(shape, np.uint8), np.ones(shape, np.float32)
    return Segmentation(labels=labels, scores=scores, names=WORDS.names)


def main(given: Sequence[str] | None = None) -> None:
    """Run what was named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("--photos", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--address", help="of a cluster that is running")
    parser.add_argument("--rows", type=int, help="of one table; by default of three")
    found = parser.parse_args(given)
    if found.what == "speed":
        speed(photos=found.photos, rounds=found.rounds, address=found.address)
    elif found.rows:
        memory(found.rows)
    else:  # a process each, so that the largest memory is that of the run
        for rows in ROWS:
            command = [sys.executable, "-m", "benchmarks.ray_run", "memory", "--rows", str(rows)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
