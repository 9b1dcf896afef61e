"""The run of `lhtclip evaluate --ray`: shards on a cluster, then `lhtclip merge`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from lhtclip.checkpoints.hub import canonical_name
from lhtclip.cli.console import Progress, print_table
from lhtclip.cli.evaluate.tasks import Task
from lhtclip.cli.load import warn_if_bundled
from lhtclip.datasets.samples import choose_samples
from lhtclip.evaluation.merge import merge_evaluations
from lhtclip.evaluation.report import summary
from lhtclip.extras import import_extra
from lhtclip.ray.cluster import WorkerSettings
from lhtclip.ray.evaluate import EvaluationJob, count_on_ray


def evaluate_on_ray(tasks: Sequence[Task], given: dict[str, Any]) -> None:
    """Evaluate on every data set with the workers of a cluster, and report.

    Args:
        tasks: The data sets.
        given: All options as typed.

    Raises:
        LhtClipError: Settings, cluster, model, data or output folder cannot be used.
    """
    import_extra("ray", purpose="Runs on many machines")
    if not given["quiet"]:
        warn_if_bundled(tasks[0].config.model)
    out = Path(given["out"])
    for task in tasks:
        job = EvaluationJob(
            config=task.config,
            dataset=choose_samples(task.dataset, limit=given["limit"], seed=given["seed"]),
            protocol=task.protocol,
            model=canonical_name(task.config.model),
            published=task.dataset.published or len(task.dataset.samples),
            deviations=task.deviations,
            out=out,
            options={name: given[name] for name in ("workers", "trimap", "predictions")},
        )
        with Progress(f"images of {task.dataset.name}", quiet=given["quiet"]) as progress:
            count_on_ray(
                job,
                address=given["ray"],
                wanted=WorkerSettings(given["ray_workers"], given["ray_cpus"], given["ray_gpus"]),
                on_progress=progress,
            )
    merged = merge_evaluations(out)
    if given["as_json"]:
        click.echo(json.dumps({"datasets": merged.documents}, indent=2))
    else:
        print_table(*summary(merged.documents))
