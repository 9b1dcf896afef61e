"""A run of `lhtclip segment` on a Ray cluster, as its driver sees it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lhtclip.batch.chunks import Shard, chunks_of
from lhtclip.batch.folder import forget_shards, locked, sweep
from lhtclip.batch.merge import Merged, merge_locked
from lhtclip.batch.plan import Job
from lhtclip.batch.record import check_record, describe, means_the_same, read_record, write_record
from lhtclip.batch.shards import Plan, ShardState, write_plan, write_state
from lhtclip.config import SegmenterConfig
from lhtclip.formats.sink import Sink
from lhtclip.ray.cluster import WorkerSettings, connected, plan_workers
from lhtclip.ray.pipeline import outcomes_of, settings_on_worker
from lhtclip.ray.results import FolderResults
from lhtclip.ray.units import Files
from lhtclip.text.vocabulary import Vocabulary


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
    """

    total: int
    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0
    workers: int = 0

    @property
    def images_per_second(self) -> float:
        """Speed of this run."""
        return (self.done - self.skipped) / max(self.seconds, 1e-9)


def label_jobs_on_ray(
    jobs: Sequence[Job],
    vocabulary: Vocabulary,
    out: Path,
    sinks: dict[str, Sink],
    *,
    config: SegmenterConfig,
    address: str | None = None,
    wanted: WorkerSettings | None = None,
    on_progress: Callable[[Running], object] | None = None,
) -> tuple[Running, Merged]:
    """Label planned images into a folder that all machines share; call again to continue.

    The files are those of `lhtclip.batch.label_files.label_jobs`.

    Raises:
        LhtClipError: Settings, cluster, model or output folder cannot be used.
    """
    out = Path(os.path.abspath(out))
    jobs = [replace(job, source=Path(os.path.abspath(job.source))) for job in jobs]
    running = Running(len(jobs))
    with locked(out), connected(address) as ray:
        workers = plan_workers(ray.cluster_resources(), wanted or WorkerSettings())
        running.workers = workers.count
        config, settings = settings_on_worker(ray, config, workers)
        record = describe(vocabulary, config, sinks) | {"settings": settings}
        _write_record(out, record, jobs, sinks)
        sweep(out, ())
        forget_shards(out)
        plan, shard = Plan.of(jobs, vocabulary, sinks), Shard(1, 1)
        write_plan(out, plan, jobs)
        results = FolderResults(out, plan.formats, plan.options, vocabulary)
        units = [Files(chunk) for chunk in chunks_of(jobs)]
        start = time.monotonic()
        for outcome in outcomes_of(
            ray, units, results, config=config, vocabulary=vocabulary, workers=workers
        ):
            running.seconds = time.monotonic() - start
            if outcome.reason:
                running.failed[outcome.image] = outcome.reason
            else:
                running.done += 1
                running.skipped += outcome.skipped
            if on_progress:
                on_progress(running)
        write_state(out, ShardState(shard, plan.digest, True, running.failed))
        merged = merge_locked(out, plan)
    return running, merged


def _write_record(
    out: Path, record: dict[str, Any], jobs: Sequence[Job], sinks: dict[str, Sink]
) -> None:
    """Check that results may be added to the folder, and write what they will mean."""
    files = (out / file for job in jobs for sink in sinks.values() for file in sink.files(job.name))
    check_record(out, record, files)
    before = read_record(out)
    if before and means_the_same(before, record):
        record["formats"] = before["formats"] | record["formats"]
    write_record(out, record)
