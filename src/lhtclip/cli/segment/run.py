"""The run of `lhtclip segment`: calls `label_jobs` and reports on stdout and stderr."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lhtclip.batch.chunks import Shard
from lhtclip.batch.label_files import label_jobs
from lhtclip.batch.plan import Job
from lhtclip.batch.summary import LabelledImage, RunSummary
from lhtclip.cli.console import Progress, print_path, say
from lhtclip.cli.load import warn_if_bundled
from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError
from lhtclip.formats.sink import Sink
from lhtclip.text.vocabulary import Vocabulary


def segment_all(
    jobs: Sequence[Job],
    vocabulary: Vocabulary,
    out: Path,
    sinks: Mapping[str, Sink],
    *,
    config: SegmenterConfig,
    overwrite: bool,
    shard: Shard | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Label the remaining images, report, and return the exit code.

    Raises:
        LhtClipError: Settings, model or output folder cannot be used, or the only image cannot be
            labelled.
    """
    if not quiet:
        warn_if_bundled(config.model)
    with _Reporter(as_json=as_json, quiet=quiet) as reporter:
        summary = label_jobs(
            jobs,
            vocabulary,
            out,
            sinks,
            config=config,
            overwrite=overwrite,
            shard=shard,
            on_image=reporter.image,
            on_progress=reporter.progress,
        )
    if summary.failures and len(jobs) == 1:
        raise InputError(str(summary.failures[0].error))
    if as_json:
        click.echo(json.dumps(_document(summary), indent=2))
    else:
        for path in summary.files:
            print_path(path)
    if shard and not quiet:
        say(f"Shard {shard} is done. Once all are: lhtclip merge {shlex.quote(str(out))}")
    return _exit_code(summary)


class _Reporter:
    """Reports while the run is going on."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json, self._quiet = as_json, quiet
        self._before: int | None = None  # images done in earlier runs
        self._bars: dict[str, Progress] = {}

    def __enter__(self) -> _Reporter:
        return self

    def __exit__(self, *error: Any) -> None:
        for bar in self._bars.values():
            bar.__exit__(*error)

    def image(self, image: LabelledImage) -> None:
        """Print the files of an image."""
        if not self._as_json:
            for path in image.files:
                print_path(path)

    def progress(self, what: str, done: int, total: int) -> None:
        """Say how many images were done before, then show progress."""
        if what == "images" and self._before is None:
            self._before = done
            if done:
                say(f"{done} of {total} images are done already.")
            return
        if what not in self._bars:
            self._bars[what] = Progress(what, quiet=self._quiet).__enter__()
        self._bars[what](done, total, already=(self._before or 0) if what == "images" else 0)


def _document(summary: RunSummary) -> dict[str, Any]:
    images = [
        {"image": str(image.image), "error": image.error}
        if image.error is not None
        else {
            "image": str(image.image),
            "outputs": {name: [str(p) for p in paths] for name, paths in image.outputs.items()},
            "skipped": image.skipped,
            "width": image.width,
            "height": image.height,
            "coverage": image.coverage,
        }
        for image in summary.images
    ]
    return {**summary.record, "images": images, "files": [str(path) for path in summary.files]}


def _exit_code(summary: RunSummary) -> int:
    if not summary.failures:
        return 0
    say(f"{len(summary.failures)} of {len(summary.images)} images could not be labelled:")
    for image in summary.failures:
        say(str(image.error))
    return 1
