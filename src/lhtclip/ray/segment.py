"""A run of `lhtclip segment` on a Ray cluster, as its driver sees it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lhtclip.batch.chunks import Shard
from lhtclip.batch.entries import Entries
from lhtclip.batch.folder import forget_shards, locked, sweep
from lhtclip.batch.merge import merge_locked
from lhtclip.batch.plan import Job
from lhtclip.batch.record import check_record, describe, join_formats, read_record, write_record
from lhtclip.batch.shards import MANIFEST_FILE, Plan, ShardState, write_plan, write_state
from lhtclip.batch.writing import assemble
from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.formats.sink import Sink
from lhtclip.ray.buckets import Bucket, BucketResults, finish, settle
from lhtclip.ray.cluster import (
    Workers,
    WorkerSettings,
    connected,
    machines_of,
    plan_workers,
    spilled_bytes,
)
from lhtclip.ray.pipeline import outcomes_of, settings_on_worker
from lhtclip.ray.results import FolderResults, Outcome, Results, TableResults
from lhtclip.ray.sources import Found
from lhtclip.text.vocabulary import Vocabulary

OnProgress = Callable[["Running"], object]


@dataclass(slots=True)
class Running:
    """The progress of a run.

    Attributes:
        total: Number of images; 0 while it is not known.
        done: Number of images with results.
        skipped: Number of those with results of earlier runs.
        failed: Why images could not be labelled, by their paths.
        seconds: Duration so far.
        workers: Number of actors.
        spilled: Bytes that the cluster wrote from its object stores to disks, at its end.
        files: The files about the whole run, at its end: paths, or URIs in a bucket.
    """

    total: int
    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0
    workers: int = 0
    spilled: int = 0
    files: tuple[Path | str, ...] = ()

    @property
    def images_per_second(self) -> float:
        """Speed of this run."""
        return (self.done - self.skipped) / max(self.seconds, 1e-9)

    def add(self, outcome: Outcome) -> None:
        """Count an image."""
        if outcome.reason:
            self.failed[outcome.image] = outcome.reason
        else:
            self.done += 1
            self.skipped += outcome.skipped


def label_into_folder(
    found: Found,
    vocabulary: Vocabulary,
    out: Path,
    sinks: dict[str, Sink],
    *,
    config: SegmenterConfig,
    address: str | None = None,
    wanted: WorkerSettings | None = None,
    on_progress: OnProgress | None = None,
) -> Running:
    """Label images into a folder that all machines share; call again to continue.

    The files are those of `lhtclip.label_files`, and `manifest.jsonl`, which has a line for each
    image: whether it is done, or has failed and why.

    Raises:
        LhtClipError: Settings, cluster, model or output folder cannot be used, or two images have
            the same name.
    """
    out = Path(os.path.abspath(out))
    with locked(out), _joined(address, wanted, config) as cluster:
        record = cluster.record(vocabulary, sinks)
        _write_record(out, record, found.jobs or (), sinks)
        sweep(out, ())
        forget_shards(out)
        plan = Plan.of(found.jobs or (), vocabulary, sinks)
        if found.jobs:
            write_plan(out, plan, found.jobs)
        results = FolderResults(out, plan.formats, plan.options, vocabulary)
        running = cluster.label(found, vocabulary, results, on_progress)
        if found.jobs:
            write_state(out, ShardState(Shard(1, 1), plan.digest, True, running.failed))
            running.files = merge_locked(out, plan).files
        else:
            running.files = tuple(write_ends(out, running.failed, sinks))
    return running


def label_into_bucket(
    found: Found,
    vocabulary: Vocabulary,
    out: str,
    sinks: dict[str, Sink],
    *,
    config: SegmenterConfig,
    address: str | None = None,
    wanted: WorkerSettings | None = None,
    on_progress: OnProgress | None = None,
) -> Running:
    """Label images into a bucket; call again to continue. The objects are those of a folder.

    Two runs at once into one bucket are not kept apart, but write the same bytes.

    Args:
        found: The images.
        vocabulary: The classes.
        out: URI of a folder in a bucket.
        sinks: The formats.
        config: The segmenter of the workers.
        address: Of the cluster, as for `connected`.
        wanted: How many workers.
        on_progress: Called after each image.

    Raises:
        LhtClipError: Settings, cluster, model or bucket cannot be used, or two images have the same
            name.
    """
    bucket = Bucket(out)
    with _joined(address, wanted, config) as cluster:
        settle(bucket, cluster.record(vocabulary, sinks))
        options = next(iter(sinks.values())).options
        results = BucketResults(bucket, tuple(sinks), options, vocabulary)
        running = cluster.label(found, vocabulary, results, on_progress)
        running.files = finish(bucket, lambda here: write_ends(here, running.failed, sinks))
    return running


def label_into_table(
    found: Found,
    vocabulary: Vocabulary,
    out: str,
    *,
    config: SegmenterConfig,
    address: str | None = None,
    wanted: WorkerSettings | None = None,
    on_progress: OnProgress | None = None,
) -> Running:
    """Label images into a Parquet dataset; call again to continue.

    Args:
        found: The images.
        vocabulary: The classes.
        out: Folder or URI. `_classes.json` inside says what the labels mean.
        config: The segmenter of the workers.
        address: Of the cluster, as for `connected`.
        wanted: How many workers.
        on_progress: Called after each image.

    Raises:
        LhtClipError: Settings, cluster, model or output cannot be used.
    """
    with _joined(address, wanted, config) as cluster:
        results = TableResults.of(out, vocabulary, cluster.settings)
        results.settle(cluster.record(vocabulary, {}))
        return cluster.label(found, vocabulary, results, on_progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Cluster:
    """A cluster that is ready to label, and what the configuration became on its machines."""

    ray: Any
    workers: Workers
    config: SegmenterConfig
    settings: dict[str, Any]

    def record(self, vocabulary: Vocabulary, sinks: Mapping[str, Sink]) -> dict[str, Any]:
        """Describe what the labels mean."""
        return describe(vocabulary, self.config.to_json(), sinks) | {"settings": self.settings}

    def label(
        self,
        found: Found,
        vocabulary: Vocabulary,
        results: Results,
        on_progress: OnProgress | None,
    ) -> Running:
        """Label all images, and count."""
        running = Running(found.total, workers=self.workers.count)
        before = spilled_bytes(self.ray)
        outcomes = outcomes_of(
            self.ray,
            found.units,
            results,
            config=self.config,
            vocabulary=vocabulary,
            workers=self.workers,
        )
        if found.jobs is None and not isinstance(results, TableResults):
            outcomes = _distinct(outcomes)
        _count(outcomes, running, on_progress)
        running.spilled = max(0, spilled_bytes(self.ray) - before)
        return running


@contextmanager
def _joined(
    address: str | None, wanted: WorkerSettings | None, config: SegmenterConfig
) -> Generator[_Cluster, None, None]:
    """Join a cluster and load the model there once."""
    with connected(address) as ray:
        workers = plan_workers(machines_of(ray), wanted or WorkerSettings())
        config, settings = settings_on_worker(ray, config, workers)
        yield _Cluster(ray, workers, config, settings)


def _count(outcomes: Iterable[Outcome], running: Running, on_progress: OnProgress | None) -> None:
    start = time.monotonic()
    for outcome in outcomes:
        running.add(outcome)
        running.seconds = time.monotonic() - start
        if on_progress:
            on_progress(running)


def _distinct(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Refuse two images of one name, which would become the same files."""
    seen = set[int]()
    for outcome in outcomes:
        name = hash(outcome.image)
        if name in seen:
            raise InputError(
                f"Two images are called {outcome.image!r} and would become the same files: rename "
                "one, or write a table (--table)."
            )
        seen.add(name)
        yield outcome


def _write_record(
    out: Path, record: dict[str, Any], jobs: Sequence[Job], sinks: Mapping[str, Sink]
) -> None:
    """Check that results may be added to the folder, and write what they will mean."""
    files = (out / file for job in jobs for sink in sinks.values() for file in sink.files(job.name))
    check_record(out, record, files)
    before = read_record(out)
    if before:
        join_formats(before, record)
    write_record(out, record)


def write_ends(out: Path, failed: Mapping[str, str], sinks: Mapping[str, Sink]) -> Iterator[Path]:
    """Write the manifest and the files about the whole run from the entries of a folder."""
    yield write_atomically(out / MANIFEST_FILE, _manifest(out, failed))
    yield from assemble(out, sinks)


def _manifest(out: Path, failed: Mapping[str, str]) -> Iterator[bytes]:
    """Yield a line for each image of a folder, whose names are only known by its entries."""
    for entry in Entries(out):
        yield json.dumps({"image": entry.image, "state": "done"}).encode() + b"\n"
    for image, reason in sorted(failed.items()):
        line = {"image": image, "state": "failed", "reason": reason}
        yield json.dumps(line).encode() + b"\n"
