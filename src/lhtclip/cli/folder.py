"""The run of `lhtclip segment`: image after image, past those that cannot be read."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from lhtclip.cli.console import Progress, print_path, say
from lhtclip.cli.load import load_segmenter, settings_of
from lhtclip.cli.options import SegmentOptions
from lhtclip.cli.plan import Job
from lhtclip.cli.record import check_record, describe, write_record
from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.formats.png import encode_binary, encode_labels, encode_picture
from lhtclip.formats.scores import encode_scores
from lhtclip.images import read_image
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.vocabulary import Vocabulary

_ENCODERS: dict[str, Callable[[Segmentation], Iterable[bytes]]] = {
    "labels": lambda result: [encode_labels(result.labels, result.colours)],
    "overlay": lambda result: [encode_picture(result.overlay())],
    "scores": lambda result: [encode_scores(result.scores)],
    "binary": lambda result: (encode_binary(result.mask(name)) for name in result.names),
}


class _Reader:
    """Reads image after image, past those that cannot be read.

    `failures` tells of these by path; `read` holds the jobs of the others until they are taken out.
    """

    def __init__(self, jobs: Sequence[Job], *, max_pixels: int) -> None:
        self.jobs, self.max_pixels = jobs, max_pixels
        self.failures: dict[Path, str] = {}
        self.read: deque[Job] = deque()

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for job in self.jobs:
            try:
                image = read_image(job.source, max_pixels=self.max_pixels)
            except InputError as error:
                self.failures[job.source] = str(error)
            else:
                self.read.append(job)
                yield image


def segment_all(options: SegmentOptions, vocabulary: Vocabulary, jobs: Sequence[Job]) -> int:
    """Do what is not done yet, tell about it, and return the exit code.

    Raises:
        LhtClipError: Settings, model or output folder cannot be used, or the only image cannot be
            read.
    """
    out = Path(options.out)
    record = describe(vocabulary, settings_of(options))
    if not options.overwrite:
        check_record(out, record, jobs)
    waiting = [job for job in jobs if options.overwrite or not job.done]
    if len(waiting) < len(jobs):
        say(f"{len(jobs) - len(waiting)} of {len(jobs)} images are done already.")

    entries = {job.source: _entry(job) | {"skipped": job not in waiting} for job in jobs}
    reader = _Reader(waiting, max_pixels=options.max_pixels)
    images = iter(reader)
    first = next(images, None)
    if reader.failures and len(jobs) == 1:
        raise InputError(*reader.failures.values())
    if first is not None:  # only now is a model needed
        segmenter = load_segmenter(options)
        record |= _circumstances(segmenter)
        if options.overwrite:
            _remove(waiting)
        write_record(out, record)
        with Progress("prompts", quiet=options.quiet) as progress:
            segmenter.texts.encode(vocabulary.queries, progress=progress)
        with Progress("images", quiet=options.quiet) as progress:
            for done, encoded in enumerate(segmenter.encode_many(chain([first], images)), start=1):
                job = reader.read.popleft()
                result = encoded.label(vocabulary, threshold=options.threshold)
                _write(result, job)
                entries[job.source] |= _findings(result)
                if not options.as_json:
                    for path in job.files:
                        print_path(path)
                progress(done + len(reader.failures), len(waiting))
    if options.as_json:
        failed = {
            source: {"image": str(source), "error": error}
            for source, error in reader.failures.items()
        }
        click.echo(json.dumps(record | {"images": list((entries | failed).values())}, indent=2))
    return _exit_code(reader.failures, waiting)


def _circumstances(segmenter: Segmenter) -> dict[str, Any]:
    """Tell what the settings came to for this model and this machine."""
    encoder, table = segmenter.encoder, segmenter.checkpoint.model.vision.positions
    return {
        "techniques": str(encoder.lht),
        "residual": encoder.residual,
        "mlp": encoder.mlp,
        "device": str(table.device),
        "dtype": str(table.dtype).removeprefix("torch."),
    }


def _remove(jobs: Sequence[Job]) -> None:
    """Drop old results first: half of them beside new ones would look like a finished run."""
    for path in (path for job in jobs for path in job.files):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"Cannot replace {path}: {error.strerror or error}.") from error


def _write(result: Segmentation, job: Job) -> None:
    for name, paths in job.outputs.items():
        for path, data in zip(paths, _ENCODERS[name](result), strict=True):
            write_atomically(path, data)


def _entry(job: Job) -> dict[str, Any]:
    outputs = {name: [str(path) for path in paths] for name, paths in job.outputs.items()}
    return {"image": str(job.source), "outputs": outputs}


def _findings(result: Segmentation) -> dict[str, Any]:
    height, width = result.labels.shape
    return {"width": width, "height": height, "coverage": result.coverage()}


def _exit_code(failures: dict[Path, str], waiting: Sequence[Job]) -> int:
    if not failures:
        return 0
    say(f"{len(failures)} of {len(waiting)} images could not be read:")
    for failure in failures.values():
        say(failure)
    return 1
