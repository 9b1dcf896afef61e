"""Where a Ray cluster saturates, computed from stage times and sizes that are measured here.

`python -m benchmarks.cluster` measures reading, labelling and writing of photographs in this
process, and computes for 1, 10, 100 and 1000 workers what each resource would have to give. Rates
of other hardware are options: `--rate 200` for a GPU that labels 200 images a second.
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.materials import save_photo
from lhtclip.batch.chunks import CHUNK, chunks_of
from lhtclip.batch.plan import plan_jobs
from lhtclip.config import SegmenterConfig
from lhtclip.formats import open_sinks
from lhtclip.formats.sink import OutputOptions
from lhtclip.ray.results import FolderResults, Outcome
from lhtclip.ray.stages import LabelImages, Row, read_images, row_of, write_results
from lhtclip.ray.units import Files
from lhtclip.text.vocabulary import Vocabulary

SIZES = ((375, 500), (500, 333), (480, 640), (427, 640), (640, 480), (512, 683))
WORDS = Vocabulary.of("dog, pizza, grass, sky")
WORKERS = (1, 10, 100, 1000)
QUEUED = 4  # chunks per worker on their way: two before it, two behind it
DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Stages:
    """What an image costs, on average.

    Attributes:
        read: Seconds of one CPU to read and decode it.
        label: Seconds of a worker.
        write: Seconds of one CPU to encode and write its results.
        driver: Seconds of the driver.
        file: Bytes of the file.
        loaded: Bytes on the way to the worker.
        labelled: Bytes on the way from it.
        results: Bytes written.
    """

    read: float
    label: float
    write: float
    driver: float
    file: float
    loaded: float
    labelled: float
    results: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster has.

    Attributes:
        rate: Images a second of one worker.
        storage: Bytes a second of the shared storage, both ways together.
        network: Bytes a second into one machine.
        store: Bytes of one machine's object store.
        per_machine: Workers of one machine.
    """

    rate: float
    storage: float
    network: float
    store: float
    per_machine: int


def demands(stages: Stages, cluster: Cluster, workers: int) -> dict[str, float]:
    """Return what share of each resource some workers use; above 1 it is what limits them.

    With N workers of r images a second on machines of m workers:

        driver   N r t_driver
        storage  N r (bytes of the file + bytes of its results) / storage
        network  m r (bytes loaded + bytes labelled) / network, if nothing stays on its machine
        store    m * queued chunks * 8 (bytes loaded + bytes labelled) / object store
    """
    moved = stages.loaded + stages.labelled
    m = min(workers, cluster.per_machine)
    return {
        "driver": workers * cluster.rate * stages.driver,
        "storage": workers * cluster.rate * (stages.file + stages.results) / cluster.storage,
        "network": m * cluster.rate * moved / cluster.network,
        "object store": m * QUEUED * CHUNK * moved / cluster.store,
    }


def other_cpus(stages: Stages, cluster: Cluster, workers: int) -> float:
    """CPUs that reading and writing need in addition to the workers."""
    return workers * cluster.rate * (stages.read + stages.write)


def machines_for(images_a_day: float, rate: float) -> float:
    """Workers that label so many images a day."""
    return images_a_day / DAY / rate


def measure(place: Path, *, photos: int, model: str) -> Stages:
    """Run the three stages one after the other, on one thread, on photographs."""
    torch.set_num_threads(1)
    for number in range(photos):
        save_photo(place / "photos" / f"{number}.jpg", *SIZES[number % len(SIZES)], seed=number)
    out, sinks = place / "out", open_sinks("labels", WORDS)
    jobs = plan_jobs(place / "photos", out, sinks)
    results = FolderResults(out, tuple(sinks), OutputOptions(), WORDS)
    config = SegmenterConfig(model=model, device="cpu", text_cache=False)
    label = LabelImages(config, WORDS, 1)
    units = [row_of(Files(chunk)) for chunk in chunks_of(jobs)]

    def read(row: Row) -> list[Row]:
        return list(read_images(row, results=results, config=config))

    reading, loaded = timed(lambda: [row for unit in units for row in read(unit)])
    label(loaded[0])  # warms up
    labelling, labelled = timed(lambda: [label(row) for row in loaded])
    writing, told = timed(
        lambda: [each for row in labelled for each in write_results(row, results=results)]
    )
    counting, _ = timed(lambda: [_outcome(pickle.loads(pickle.dumps(row))) for row in told])
    folders = (place / "photos", out)
    sizes = [sum(file.stat().st_size for file in each.glob("*.*")) for each in folders]
    return Stages(
        read=reading / photos,
        label=labelling / photos,
        write=writing / photos,
        driver=max(counting / photos, 1e-4),  # Ray's own share is larger; see `--driver`
        file=sizes[0] / photos,
        loaded=sum(len(row["chunk"]) for row in loaded) / photos,
        labelled=sum(len(row["chunk"]) for row in labelled) / photos,
        results=sizes[1] / photos,
    )


def _outcome(row: Row) -> Row:
    """Do what the driver does with a row, besides what Ray does."""
    return row | {"outcome": Outcome(row["image"], row["skipped"], row["reason"])}


def timed(work: Callable[[], list[Row]]) -> tuple[float, list[Row]]:
    """Return how much processor time something took, which other load hardly changes."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def report(stages: Stages, cluster: Cluster) -> str:
    """Write measured costs, and what they mean for more and more workers, as Markdown."""
    lines = [
        "| stage | time an image | bytes an image |",
        "| --- | --- | --- |",
        f"| read and decode | {1000 * stages.read:.1f} ms | {stages.file / 1e3:.0f} kB file |",
        f"| to the worker | | {stages.loaded / 1e3:.0f} kB |",
        f"| label | {1000 * stages.label:.1f} ms | |",
        f"| from the worker | | {stages.labelled / 1e3:.0f} kB |",
        f"| encode and write | {1000 * stages.write:.1f} ms | {stages.results / 1e3:.0f} kB |",
        f"| driver | {1000 * stages.driver:.2f} ms | |",
        "",
        f"Workers of {cluster.rate:g} images/s, {cluster.per_machine} a machine:",
        "",
        "| workers | images/s | CPUs to read and write | driver | storage | network | store |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for workers in WORKERS:
        used = [f"{100 * share:.0f} %" for share in demands(stages, cluster, workers).values()]
        cpus = other_cpus(stages, cluster, workers)
        lines.append(
            f"| {workers} | {workers * cluster.rate:.0f} | {cpus:.1f} | {' | '.join(used)} |"
        )
    needed = machines_for(1e6, cluster.rate)
    lines += ["", f"A million images a day need {needed:.2f} such workers."]
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    """Measure, compute and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=int, default=24, help="photographs to measure with")
    parser.add_argument("--model", default="bundled", help="as for lhtclip segment")
    parser.add_argument("--rate", type=float, help="images/s of a worker; by default as measured")
    parser.add_argument("--driver", type=float, help="ms of the driver an image")
    parser.add_argument("--storage", type=float, default=2.0, help="GB/s of the shared storage")
    parser.add_argument("--network", type=float, default=1.25, help="GB/s into a machine")
    parser.add_argument("--store", type=float, default=20.0, help="GB of a machine's object store")
    parser.add_argument("--per-machine", type=int, default=8, help="workers of a machine")
    found = parser.parse_args(given)
    with TemporaryDirectory() as place:
        stages = measure(Path(place), photos=found.photos, model=found.model)
    if found.driver:
        stages = Stages(**{**_fields(stages), "driver": found.driver / 1000})
    cluster = Cluster(
        rate=found.rate or 1 / stages.label,
        storage=found.storage * 1e9,
        network=found.network * 1e9,
        store=found.store * 1e9,
        per_machine=found.per_machine,
    )
    print(report(stages, cluster))


def _fields(stages: Stages) -> dict[str, float]:
    return {name: getattr(stages, name) for name in Stages.__slots__}


if __name__ == "__main__":
    main()
