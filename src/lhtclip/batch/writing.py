"""Writes results: an image's files, then its entry, without which they do not count."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from lhtclip.batch.entries import Digest, Entries, Entry, FormatParts
from lhtclip.batch.plan import Job
from lhtclip.batch.summary import LabelledImage
from lhtclip.errors import InputError, OutputError, listed
from lhtclip.files import write_atomically
from lhtclip.formats.sink import ImageName, Sink
from lhtclip.image.opening import printable
from lhtclip.segmentation import Segmentation


class Writer:
    """Writes results of images into a folder, in some formats."""

    def __init__(self, out: Path, sinks: Mapping[str, Sink]) -> None:
        """Choose folder and formats; touches no file."""
        self._out, self._sinks = out, sinks
        self._entries = Entries(out)

    def files_of(self, job: Job) -> dict[str, tuple[Path, ...]]:
        """Return the files of an image by format."""
        return {
            format: tuple(self._out / file for file in sink.files(job.name))
            for format, sink in self._sinks.items()
        }

    def write(self, job: Job, digest: Digest, chunk: str, result: Segmentation) -> LabelledImage:
        """Write the files of an image, then its entry.

        Args:
            job: The image.
            digest: Of its file.
            chunk: Digest of the chunk that it was labelled in.
            result: Its labels.

        Raises:
            OutputError: Nothing more can be written.
        """
        try:
            self._check_name(job)
            made = {
                format: (sink.files(job.name), [*sink.encode(job.name, result)])
                for format, sink in self._sinks.items()
            }
            entry = self._entry(job, digest, chunk, result, made)
            for files, contents in made.values():
                for file, content in zip(files, contents, strict=True):
                    write_atomically(self._out / file, content)
            self._entries.write(entry)
        except OutputError:
            raise
        except (InputError, OSError, MemoryError) as error:
            return failed(job, error)
        return self.done(job, entry, skipped=False)

    def done(self, job: Job, entry: Entry, *, skipped: bool) -> LabelledImage:
        """Describe an image that is done."""
        return LabelledImage(
            image=job.source,
            outputs=self.files_of(job),
            skipped=skipped,
            width=entry.width,
            height=entry.height,
            coverage=entry.coverage,
        )

    def _check_name(self, job: Job) -> None:
        """Refuse a name with bytes that are not text, if a format writes names into files.

        Raises:
            InputError: It is one.
        """
        formats = [format for format, sink in self._sinks.items() if sink.names_inside]
        if formats and not _is_text(str(job.name.path)):
            raise InputError(
                f"The name {printable(job.name.path)} has bytes that are not text, and files of "
                f"the formats {listed(formats)} contain names: rename the image, or "
                "leave out these formats."
            )

    def _entry(
        self,
        job: Job,
        digest: Digest,
        chunk: str,
        result: Segmentation,
        made: Mapping[str, tuple[Sequence[PurePosixPath], Sequence[bytes]]],
    ) -> Entry:
        """Describe the results of an image, and keep those of other formats."""
        name: ImageName = job.name
        formats = {
            format: {
                "files": {
                    str(file): asdict(Digest.of(content))
                    for file, content in zip(files, contents, strict=True)
                },
                "part": self._sinks[format].part(name, result),
            }
            for format, (files, contents) in made.items()
        }
        before = self._entries.read(name.path)
        height, width = result.labels.shape
        return Entry(
            image=name.path.as_posix(),
            stem=name.stem.as_posix(),
            source=os.path.abspath(job.source),
            digest=digest,
            width=width,
            height=height,
            coverage=result.coverage(),
            formats=(before.formats if before else {}) | formats,
            chunk=chunk,
        )


def assemble(out: Path, sinks: Mapping[str, Sink]) -> Iterator[Path]:
    """Write the files about the whole run, which cover all images of the folder.

    Raises:
        InputError: One cannot be written.
    """
    entries = Entries(out)
    for format, sink in sinks.items():
        if files := sink.run_files():
            contents = sink.assemble(FormatParts(entries, format))
            for file, content in zip(files, contents, strict=True):
                yield write_atomically(out / file, content)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def failed(job: Job, error: Exception) -> LabelledImage:
    """Describe an image that could not be labelled."""
    reason = str(error) or "there is not enough memory"
    return LabelledImage(job.source, {}, error=f"{job.source}: {reason}")
