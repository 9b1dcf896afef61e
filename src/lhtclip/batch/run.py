"""A run over many images, step by step: find what is done, read, label, write, assemble.

Threads read files ahead and write them behind, so that the encoder need not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.batch.entries import Digest, Entries, Entry, FormatParts
from lhtclip.batch.folder import remove, remove_results
from lhtclip.batch.plan import Job
from lhtclip.batch.prefetch import in_order
from lhtclip.batch.record import check_record, means_the_same, read_record, write_record
from lhtclip.batch.summary import LabelledImage, RunSummary
from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError, OutputError
from lhtclip.files import write_atomically
from lhtclip.formats.sink import Sink
from lhtclip.image.pixels import read_image
from lhtclip.image.settings import ReadingSettings
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

_WORKERS = 2  # threads that read ahead and write behind
_IN_FLIGHT = 4  # how many images they may be ahead of the encoder, or behind it
_logger = getLogger("lhtclip")

Progress = Callable[[str, int, int], None]  # "prompts" or "images", number done, total


@dataclass(frozen=True, slots=True)
class Source:
    """A job whose image has been read, and the digest of its file."""

    job: Job
    digest: Digest


class Workers(ThreadPoolExecutor):
    """Threads that finish what they have started, and nothing else, when the run ends."""

    def __init__(self) -> None:
        """Start no thread yet."""
        super().__init__(_WORKERS)

    def __exit__(self, *_: object) -> None:
        """Wait for what was started."""
        self.shutdown(cancel_futures=True)


class Run:
    """A run; `label_files` calls its methods in the order of their definition."""

    def __init__(
        self,
        jobs: Sequence[Job],
        vocabulary: Vocabulary,
        out: Path,
        sinks: Mapping[str, Sink],
        *,
        record: dict[str, Any],
        overwrite: bool,
        workers: Workers,
        on_image: Callable[[LabelledImage], None] | None,
        on_progress: Progress | None,
    ) -> None:
        """Prepare a run; the arguments are as for `label_files`."""
        self._jobs, self._vocabulary, self._out, self._sinks = jobs, vocabulary, out, sinks
        self._record, self._overwrite, self._workers = record, overwrite, workers
        self._on_image, self._on_progress = on_image, on_progress
        self._entries = Entries(out)
        self._images: dict[Path, LabelledImage] = {}
        self._waiting: list[Job] = list(jobs)
        self._stale: list[Entry] = []
        self._files: list[Path] = []

    def check(self) -> None:
        """Check that the results may be added to the folder.

        Raises:
            InputError: They may not.
        """
        if not self._overwrite:
            own = (
                path
                for job in self._jobs
                for paths in self._outputs(job).values()
                for path in paths
            )
            whole = (self._out / file for sink in self._sinks.values() for file in sink.run_files())
            check_record(self._out, self._record, chain(own, whole))

    def find_done(self) -> None:
        """Return which images are done, and which results are out of date."""
        if not self._overwrite:
            found = self._workers.map(self._entry_of, self._jobs)
            for job, (entry, done) in zip(self._jobs, found, strict=True):
                if entry and done:
                    self._images[job.source] = _told(job, self._outputs(job), entry, skipped=True)
                elif entry:
                    self._stale.append(entry)
            self._waiting = [job for job in self._jobs if job.source not in self._images]
        self._tell_progress()

    def read(self, config: SegmenterConfig) -> Iterator[tuple[Source, NDArray[np.uint8]]]:
        """Read the remaining images ahead, and skip those that cannot be read."""
        futures = (
            self._workers.submit(_read, job, config.max_pixels, config.reading)
            for job in self._waiting
        )
        for job, found in zip(self._waiting, in_order(futures, most=_IN_FLIGHT), strict=True):
            if isinstance(found, str):
                self._finish(LabelledImage(job.source, {}, error=found))
            else:
                yield found

    def prepare(self, segmenter: Segmenter) -> None:
        """Check the resolved settings, remove results that are out of date, and write the record.

        Raises:
            InputError: The folder has results of another model, or cannot be written to.
        """
        self._segmenter = segmenter
        self._record["settings"] = segmenter.settings()
        self.check()
        before = None if self._overwrite and not self._readable() else read_record(self._out)
        if before and means_the_same(before, self._record):
            self._record["formats"] = before["formats"] | self._record["formats"]
        elif self._overwrite:
            self._stale = list(self._entries)
        if self._overwrite:
            again = (self._entries.read(job.name.path) for job in self._waiting)
            self._stale += [entry for entry in again if entry]
            for job in self._waiting:
                for path in self._files_of(job):
                    remove(path)
        elif self._stale:
            _logger.warning(
                "Labelled again, because the image or a result has changed: %s",
                _listed([entry.image for entry in self._stale]),
            )
        remove_results(self._out, self._stale)
        write_record(self._out, self._record)

    def label(self, images: Iterable[tuple[Source, NDArray[np.uint8]]]) -> None:
        """Label images in this thread; other threads write their files.

        Raises:
            OutputError: Nothing more can be written.
        """
        progress = self._on_progress and partial(self._on_progress, "prompts")
        self._segmenter.texts.encode(self._vocabulary.queries, progress=progress)
        for image in in_order(self._writing(images), most=_IN_FLIGHT):
            self._finish(image)

    @property
    def can_assemble(self) -> bool:
        """Whether there are files about the whole run, and anything to put into them."""
        return bool(self._images) and any(sink.run_files() for sink in self._sinks.values())

    def assemble(self) -> None:
        """Write the files about the whole run, which cover all images of the folder.

        Raises:
            InputError: One cannot be written.
        """
        for format, sink in self._sinks.items():
            paths = [self._out / file for file in sink.run_files()]
            if paths:
                contents = sink.assemble(FormatParts(self._entries, format))
                for path, content in zip(paths, contents, strict=True):
                    self._files.append(write_atomically(path, content))

    def summary(self) -> RunSummary:
        """Return the summary."""
        images = tuple(self._images[job.source] for job in self._jobs)
        return RunSummary(self._record, images, tuple(self._files))

    def _entry_of(self, job: Job) -> tuple[Entry | None, bool]:
        """Return an image's entry, if it has one, and whether the image is done.

        If only a format is missing there is nothing to remove: that counts as no entry.
        """
        entry = self._entries.read(job.name.path)
        if entry is None or not _is_of(entry, job) or not entry.is_whole(self._out):
            return entry, False
        return (entry, True) if entry.has(job.name, self._sinks) else (None, False)

    def _writing(
        self, images: Iterable[tuple[Source, NDArray[np.uint8]]]
    ) -> Iterator[Future[LabelledImage]]:
        for source, encoded in self._segmenter.encode_items(images):
            result = encoded.segment(self._vocabulary)
            yield self._workers.submit(self._write, source, result)

    def _write(self, source: Source, result: Segmentation) -> LabelledImage:
        """Write an image's files, then its entry, without which they do not count."""
        job = source.job
        try:
            made = {
                format: (sink.files(job.name), [*sink.encode(job.name, result)])
                for format, sink in self._sinks.items()
            }
            before = self._entries.read(job.name.path)
            entry = _entry(source, result, self._sinks, made, before)
            for files, contents in made.values():
                for file, content in zip(files, contents, strict=True):
                    write_atomically(self._out / file, content)
            self._entries.write(entry)
        except OutputError:
            raise
        except (InputError, OSError, MemoryError) as error:
            reason = str(error) or "there is not enough memory"
            return LabelledImage(job.source, {}, error=f"{job.source}: {reason}")
        return _told(job, self._outputs(job), entry, skipped=False)

    def _finish(self, image: LabelledImage) -> None:
        self._images[image.image] = image
        if self._on_image:
            self._on_image(image)
        if image.error is None:
            self._tell_progress()

    def _tell_progress(self) -> None:
        if self._on_progress:
            self._on_progress("images", len(self._images), len(self._jobs))

    def _outputs(self, job: Job) -> dict[str, tuple[Path, ...]]:
        return {
            format: tuple(self._out / file for file in sink.files(job.name))
            for format, sink in self._sinks.items()
        }

    def _files_of(self, job: Job) -> list[Path]:
        return [path for paths in self._outputs(job).values() for path in paths]

    def _readable(self) -> bool:
        try:
            return read_record(self._out) is not None
        except InputError:
            return False


def _read(
    job: Job, max_pixels: int, settings: ReadingSettings
) -> tuple[Source, NDArray[np.uint8]] | str:
    """Return an image, or the reason why it cannot be read."""
    try:
        if not job.source.is_file():
            return f"{job.source} is no regular file."
        digest = Digest.of_file(job.source)
        return Source(job, digest), read_image(job.source, max_pixels=max_pixels, settings=settings)
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"Cannot read {job.source}: {error.strerror or error}."


def _listed(names: Sequence[str], *, most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f", and {more} more" if more > 0 else "") + "."


def _is_of(entry: Entry, job: Job) -> bool:
    """Whether an entry is about this very image."""
    try:
        return entry.name == job.name and entry.digest == Digest.of_file(job.source)
    except OSError:
        return False


def _entry(
    source: Source,
    result: Segmentation,
    sinks: Mapping[str, Sink],
    made: Mapping[str, tuple[Sequence[Any], Sequence[bytes]]],
    before: Entry | None,
) -> Entry:
    """Describe the results of an image, and keep those of other formats."""
    name = source.job.name
    formats = {
        format: {
            "files": {
                str(file): asdict(Digest.of(content))
                for file, content in zip(files, contents, strict=True)
            },
            "part": sinks[format].part(name, result),
        }
        for format, (files, contents) in made.items()
    }
    height, width = result.labels.shape
    return Entry(
        image=name.path.as_posix(),
        stem=name.stem.as_posix(),
        source=str(source.job.source),
        digest=source.digest,
        width=width,
        height=height,
        coverage=result.coverage(),
        formats=(before.formats if before else {}) | formats,
    )


def _told(
    job: Job, outputs: Mapping[str, tuple[Path, ...]], entry: Entry, *, skipped: bool
) -> LabelledImage:
    return LabelledImage(
        job.source, outputs, skipped, None, entry.width, entry.height, entry.coverage
    )
