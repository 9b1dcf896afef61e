"""A run over many images, step by step: find what is done, read, label, write, assemble.

Threads read files ahead and write them behind, so that the encoder need not wait for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, groupby
from logging import getLogger
from pathlib import Path
from typing import Any

from lhtclip.batch.chunks import Chunk
from lhtclip.batch.entries import Digest, Entries, Entry
from lhtclip.batch.folder import remove, remove_results
from lhtclip.batch.labelling import label_chunk, maps_of
from lhtclip.batch.plan import Job
from lhtclip.batch.prefetch import in_order
from lhtclip.batch.reading import Content, Source, read, sources_of
from lhtclip.batch.record import check_record, means_the_same, read_record, write_record
from lhtclip.batch.summary import LabelledImage, RunSummary
from lhtclip.batch.writing import Writer, assemble, failed
from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError, listed
from lhtclip.formats.sink import Sink
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

_WORKERS = 2  # threads that read ahead and write behind
_IN_FLIGHT = 4  # how many images they may be ahead of the encoder, or behind it
_logger = getLogger("lhtclip")

Progress = Callable[[str, int, int], None]  # "prompts" or "images", number done, total
Images = Iterable[tuple[Source, Content]]


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
        chunks: Sequence[Chunk],
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
        self._chunks, self._vocabulary, self._out, self._sinks = chunks, vocabulary, out, sinks
        self._jobs = [job for chunk in chunks for job in chunk.jobs]
        self._record, self._overwrite, self._workers = record, overwrite, workers
        self._on_image, self._on_progress = on_image, on_progress
        self._entries, self._writer = Entries(out), Writer(out, sinks)
        self._images: dict[Path, LabelledImage] = {}
        self._done: dict[Path, str] = {}  # the chunk that each image was labelled in
        self._stale: list[Entry] = []
        self._files: list[Path] = []

    def check(self) -> None:
        """Check that the results may be added to the folder.

        Raises:
            InputError: They may not.
        """
        if not self._overwrite:
            own = (path for job in self._jobs for path in self._files_of(job))
            whole = (self._out / file for sink in self._sinks.values() for file in sink.run_files())
            check_record(self._out, self._record, chain(own, whole))

    def find_done(self) -> None:
        """Find the images that are done, and the results that are out of date."""
        if not self._overwrite:
            found = self._workers.map(self._entry_of, self._jobs)
            for job, (entry, done) in zip(self._jobs, found, strict=True):
                if entry and done:
                    self._done[job.source] = entry.chunk
                    self._images[job.source] = self._writer.done(job, entry, skipped=True)
                elif entry:
                    self._stale.append(entry)
        self._tell_progress()

    def read(self, config: SegmenterConfig) -> Iterator[tuple[Source, Content]]:
        """Read the remaining images ahead, and skip those that cannot be read."""
        submitted: deque[Source] = deque()

        def reading() -> Iterator[Future[Content | str]]:
            for chunk in self._chunks:
                if any(job.source not in self._done for job in chunk.jobs):
                    for source in sources_of(chunk, self._done, readable):
                        submitted.append(source)
                        yield self._workers.submit(read, source.job, config)

        def readable(job: Job) -> bool:
            return isinstance(read(job, config), Content)

        for found in in_order(reading(), most=_IN_FLIGHT):
            source = submitted.popleft()
            if isinstance(found, Content):
                yield source, found
            elif source.wanted:
                self._finish(LabelledImage(source.job.source, {}, error=found))

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
            again = (self._entries.read(job.name.path) for job in self._jobs)
            self._stale += [entry for entry in again if entry]
            for job in self._jobs:
                for path in self._files_of(job):
                    remove(path)
        elif self._stale:
            _logger.warning(
                "Labelled again, because the image or a result has changed: %s.",
                listed([entry.image for entry in self._stale], most=3),
            )
        remove_results(self._out, self._stale)
        write_record(self._out, self._record)

    @property
    def has_outdated(self) -> bool:
        """Whether there are results of images that have changed since."""
        return bool(self._stale)

    def drop_outdated(self) -> None:
        """Remove the results of changed images, of which none can be read.

        Raises:
            InputError: A file cannot be removed.
        """
        remove_results(self._out, self._stale)

    def label(self, images: Images) -> None:
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
        self._files += assemble(self._out, self._sinks)

    @property
    def failed(self) -> dict[str, str]:
        """Why images could not be labelled, by their paths."""
        found = ((job, self._images[job.source].error) for job in self._jobs)
        return {job.name.path.as_posix(): error for job, error in found if error is not None}

    def summary(self) -> RunSummary:
        """Return the summary."""
        images = tuple(self._images[job.source] for job in self._jobs)
        return RunSummary(self._record, images, tuple(self._files))

    def _entry_of(self, job: Job) -> tuple[Entry | None, bool]:
        return self._entries.find(job.name, lambda: Digest.of_file(job.source), self._sinks)

    def _writing(self, images: Images) -> Iterator[Future[LabelledImage]]:
        maps = maps_of(self._sinks)
        for _, chunk in groupby(images, key=lambda image: image[0].chunk):
            results = label_chunk(self._segmenter, self._vocabulary, chunk, maps=maps)
            for source, digest, result in results:
                if isinstance(result, InputError):
                    self._finish(failed(source.job, result))
                else:
                    yield self._workers.submit(
                        self._writer.write, source.job, digest, source.chunk, result
                    )

    def _finish(self, image: LabelledImage) -> None:
        self._images[image.image] = image
        if self._on_image:
            self._on_image(image)
        if image.error is None:
            self._tell_progress()

    def _tell_progress(self) -> None:
        if self._on_progress:
            self._on_progress("images", len(self._images), len(self._jobs))

    def _files_of(self, job: Job) -> list[Path]:
        return [path for paths in self._writer.files_of(job).values() for path in paths]

    def _readable(self) -> bool:
        try:
            return read_record(self._out) is not None
        except InputError:
            return False
