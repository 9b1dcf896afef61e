"""The run of `lhtclip segment --ray`: calls `lhtclip.ray` and reports on stdout and stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.console import Progress, print_path, say
from lhtclip.cli.load import config_of, warn_if_bundled
from lhtclip.extras import import_extra
from lhtclip.formats.sink import Sink
from lhtclip.ray.cluster import WorkerSettings
from lhtclip.ray.segment import (
    Running,
    label_into_bucket,
    label_into_folder,
    label_into_table,
)
from lhtclip.ray.sources import find_units
from lhtclip.text.vocabulary import Vocabulary

_FEW = 1000  # images that one process has labelled before a cluster is ready


def segment_on_ray(
    images: Sequence[str],
    vocabulary: Vocabulary,
    out: str,
    sinks: dict[str, Sink],
    *,
    given: Mapping[str, Any],
    address: str,
    workers: Mapping[str, Any],
    table: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Label images on a cluster, report, and return the exit code.

    Raises:
        LhtClipError: Images, settings, cluster, model or output cannot be used.
    """
    import_extra("ray", purpose="Runs on many machines")
    out = out.removeprefix("file://")
    in_bucket = "://" in out
    if not in_bucket:
        check_folder(Path(out))
    found, config = find_units(images, out, sinks), config_of(given)
    wanted = WorkerSettings(workers["ray_workers"], workers["ray_cpus"], workers["ray_gpus"])
    if not quiet:
        warn_if_bundled(config.model)
        if 0 < found.total < _FEW:
            say(f"For {found.total} images one process is faster: leave out --ray.")
    with Progress("images", quiet=quiet) as progress:

        def report(running: Running) -> None:
            note = f"{running.images_per_second:.1f} images/s"
            if running.failed:
                note += f", {len(running.failed)} failed"
            done = running.done + len(running.failed)
            progress(done, max(running.total, done), already=running.skipped, note=note)

        settings: dict[str, Any]
        settings = {"config": config, "address": address, "wanted": wanted, "on_progress": report}
        if table:
            running = label_into_table(found, vocabulary, out, **settings)
        elif in_bucket:
            running = label_into_bucket(found, vocabulary, out, sinks, **settings)
        else:
            running = label_into_folder(found, vocabulary, Path(out), sinks, **settings)
    if as_json:
        click.echo(json.dumps(_document(running), indent=2))
    else:
        for path in running.files:
            print_path(path)
    for reason in running.failed.values():
        say(reason)
    counted = f"{running.done} images done ({running.skipped} before), {len(running.failed)} failed"
    say(f"{counted}, {running.images_per_second:.1f} images/s with {running.workers} workers.")
    if running.spilled:
        say(
            f"{running.spilled / 1e6:.0f} MB went through disks, because the object stores were "
            "full: fewer workers a machine, or `ray start --object-store-memory`, avoid that."
        )
    return 1 if running.failed else 0


def _document(running: Running) -> dict[str, Any]:
    return {
        "images": running.done + len(running.failed),
        "done": running.done,
        "skipped": running.skipped,
        "failed": running.failed,
        "seconds": running.seconds,
        "images_per_second": running.images_per_second,
        "workers": running.workers,
        "spilled_bytes": running.spilled,
        "files": [str(path) for path in running.files],
    }
