"""An evaluation on a Ray cluster: actors count shards, and their counts are added up exactly."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lhtclip.batch.chunks import CHUNK, Shard
from lhtclip.config import SegmenterConfig
from lhtclip.datasets.dataset import Dataset
from lhtclip.errors import InputError
from lhtclip.evaluation.merge import write_part
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.report import describe
from lhtclip.evaluation.runner import evaluate
from lhtclip.ray.cluster import WorkerSettings, connected, machines_of, plan_workers
from lhtclip.ray.pipeline import settings_on_worker
from lhtclip.ray.threads import use_threads
from lhtclip.segmenter import Segmenter

_IMAGES_PER_SHARD = 8 * CHUNK  # whatever the number of workers, so that a run can go on


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationJob:
    """What to count; travels to every worker.

    Attributes:
        config: The segmenter.
        dataset: The images, on a disk that all machines share.
        protocol: The published protocol.
        model: The model's name as typed.
        published: The publisher's number of images; None if unknown.
        deviations: The settings that differ from the protocol.
        out: Folder of the counts, on a disk that all machines share.
        options: Further arguments of `lhtclip.evaluation.runner.evaluate`.
    """

    config: SegmenterConfig
    dataset: Dataset
    protocol: Protocol
    model: str
    published: int | None
    deviations: dict[str, Any]
    out: Path
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self.dataset.samples) // _IMAGES_PER_SHARD)


def count_on_ray(
    job: EvaluationJob,
    *,
    address: str | None = None,
    wanted: WorkerSettings | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> None:
    """Count all shards of an evaluation; `merge_evaluations` adds them up.

    Shards that are done are not counted again, so call it again to continue.

    Args:
        job: What to count.
        address: Of the cluster, as for `connected`.
        wanted: How many workers.
        on_progress: Called with the number of images counted, and of all images.

    Raises:
        LhtClipError: Settings, cluster or model cannot be used, or an image cannot be read. Counts
            so far are kept.
    """
    job = replace(job, out=Path(os.path.abspath(job.out)))
    with connected(address) as ray:
        workers = plan_workers(machines_of(ray), wanted or WorkerSettings())
        config, _ = settings_on_worker(ray, job.config, workers)
        data = ray.data
        data.DataContext.get_current().enable_progress_bars = False
        shards = [{"number": number, "count": job.shards} for number in range(1, job.shards + 1)]
        rows = data.from_items(shards, override_num_blocks=job.shards)
        counted = rows.map(
            CountShards,
            fn_constructor_args=(replace(job, config=config), workers.cpus),
            compute=data.ActorPoolStrategy(size=min(workers.count, job.shards)),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus or None,
        )
        done = 0
        for row in counted.iter_rows():
            if row["error"]:
                raise InputError(row["error"])
            done += row["images"]
            if on_progress:
                on_progress(done, len(job.dataset.samples))


class CountShards:
    """Counts shard after shard; loads the model once."""

    def __init__(self, job: EvaluationJob, threads: int | None = None) -> None:
        """Load the model."""
        use_threads(threads)
        self._job = job
        self._segmenter = Segmenter.from_config(job.config)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Count a shard, write its counts, and return how many images it has, or an error."""
        job, shard = self._job, Shard(int(row["number"]), int(row["count"]))
        try:
            evaluation = evaluate(
                self._segmenter,
                job.dataset,
                job.protocol.vocabulary(job.dataset),
                folder=job.out,
                shard=shard,
                **job.options,
            )
        except InputError as error:
            return {"images": 0, "error": str(error)}
        document = describe(
            evaluation,
            self._segmenter,
            job.protocol,
            model=job.model,
            published=job.published,
            deviations=job.deviations,
        )
        write_part(job.out, shard, document)
        return {"images": evaluation.images, "error": ""}
