"""The run of `lhtclip segment`: image after image, past those that cannot be read.

Files are read ahead and written behind in threads, so that the tower need not wait for them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from lhtclip.batch.plan import Job
from lhtclip.batch.prefetch import in_order
from lhtclip.batch.record import check_record, describe, write_record
from lhtclip.cli.console import Progress, print_path, say
from lhtclip.cli.load import load_segmenter, settings_of
from lhtclip.cli.options import SegmentOptions
from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.image.pixels import read_image
from lhtclip.image.settings import ReadingSettings
from lhtclip.output.jpeg import encode_photo
from lhtclip.output.png import encode_binary, encode_labels
from lhtclip.output.scores import encode_scores
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

_ENCODERS: dict[str, Callable[[Segmentation], Iterable[bytes]]] = {
    "labels": lambda result: [encode_labels(result.labels, result.colours)],
    "overlay": lambda result: [encode_photo(result.overlay())],
    "scores": lambda result: [encode_scores(result.scores)],
    "binary": lambda result: (encode_binary(result.mask(name)) for name in result.names),
}


_WORKERS = 2  # threads that read ahead and write behind
_IN_FLIGHT = 4  # images that they may be ahead of the tower, or behind it


class _Reader:
    """Reads images ahead in threads, past those that cannot be read.

    `failures` tells of these by path; `read` holds the jobs of the others until they are taken out.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        jobs: Sequence[Job],
        read: Callable[[Job], NDArray[np.uint8] | str],
    ) -> None:
        self.failures: dict[Path, str] = {}
        self.read: deque[Job] = deque()
        self._jobs = jobs
        self._results = in_order((pool.submit(read, job) for job in jobs), most=_IN_FLIGHT)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for job, image in zip(self._jobs, self._results, strict=True):
            if isinstance(image, str):
                self.failures[job.source] = image
            else:
                self.read.append(job)
                yield image


def _read(job: Job, *, max_pixels: int, settings: ReadingSettings) -> NDArray[np.uint8] | str:
    """Return an image, or why it cannot be read."""
    try:
        return read_image(job.source, max_pixels=max_pixels, settings=settings)
    except InputError as error:
        return str(error)


def segment_all(options: SegmentOptions, vocabulary: Vocabulary, jobs: Sequence[Job]) -> int:
    """Do what is not done yet, tell about it, and return the exit code.

    Raises:
        LhtClipError: Settings, model or output folder cannot be used, or the only image cannot be
            read.
    """
    record = describe(vocabulary, settings_of(options))
    if not options.overwrite:
        check_record(Path(options.out), record, jobs)
    waiting = [job for job in jobs if options.overwrite or not job.done]
    if len(waiting) < len(jobs):
        say(f"{len(jobs) - len(waiting)} of {len(jobs)} images are done already.")
    entries = {job.source: _entry(job) | {"skipped": job not in waiting} for job in jobs}
    pool = ThreadPoolExecutor(_WORKERS)
    try:
        read = partial(_read, max_pixels=options.max_pixels, settings=options.reading())
        reader = _Reader(pool, waiting, read)
        images = iter(reader)
        first = next(images, None)
        if reader.failures and len(jobs) == 1:
            raise InputError(*reader.failures.values())
        if first is not None:  # only now is a model needed
            segmenter = _prepare(options, vocabulary, record, waiting)
            encoded = segmenter.encode_many(chain([first], images))
            with Progress("images", quiet=options.quiet) as progress:
                labelled = _labelled(pool, reader, encoded, vocabulary, options.threshold)
                for done, (job, findings) in enumerate(
                    in_order(labelled, most=_IN_FLIGHT), start=1
                ):
                    entries[job.source] |= findings
                    if not options.as_json:
                        for path in job.files:
                            print_path(path)
                    progress(done + len(reader.failures), len(waiting))
    finally:
        pool.shutdown(cancel_futures=True)
    if options.as_json:
        failed = {
            source: {"image": str(source), "error": error}
            for source, error in reader.failures.items()
        }
        click.echo(json.dumps(record | {"images": list((entries | failed).values())}, indent=2))
    return _exit_code(reader.failures, waiting)


def _prepare(
    options: SegmentOptions, vocabulary: Vocabulary, record: dict[str, Any], waiting: Sequence[Job]
) -> Segmenter:
    """Load the model, encode the words, and put `classes.json` where the results will be."""
    segmenter = load_segmenter(options)
    record |= _circumstances(segmenter)
    if options.overwrite:
        _remove(waiting)
    write_record(Path(options.out), record)
    with Progress("prompts", quiet=options.quiet) as progress:
        segmenter.texts.encode(vocabulary.queries, progress=progress)
    return segmenter


def _labelled(
    pool: ThreadPoolExecutor,
    reader: _Reader,
    encoded: Iterable[EncodedImage],
    vocabulary: Vocabulary,
    threshold: float,
) -> Iterator[Future[tuple[Job, dict[str, Any]]]]:
    """Label image after image here; the files are written in threads."""
    for image in encoded:
        result = image.label(vocabulary, threshold=threshold)
        yield pool.submit(_write, result, reader.read.popleft())


def _circumstances(segmenter: Segmenter) -> dict[str, Any]:
    """Tell what the settings came to for this model and this machine."""
    encoder, table = segmenter.encoder, segmenter.checkpoint.model.vision.positions
    return {
        "techniques": str(encoder.lht),
        "residual": encoder.residual,
        "mlp": encoder.mlp,
        "engine": segmenter.runner.engine,
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


def _write(result: Segmentation, job: Job) -> tuple[Job, dict[str, Any]]:
    """Write an image's files, and tell what was found."""
    for name, paths in job.outputs.items():
        for path, data in zip(paths, _ENCODERS[name](result), strict=True):
            write_atomically(path, data)
    return job, _findings(result)


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
