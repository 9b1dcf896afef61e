"""What one task reads: image files, a row group of a Parquet file, or a tar of WebDataset.

Units cut their images into the same chunks each time, so a run that is started again finds its
earlier work. Those on a path or URI that another machine cannot see make no sense here.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lhtclip.batch.chunks import CHUNK, Chunk, chunks_of
from lhtclip.batch.entries import Digest
from lhtclip.batch.plan import Job
from lhtclip.batch.reading import Content, read
from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError, reason_of
from lhtclip.extras import import_extra
from lhtclip.formats.sink import ImageName
from lhtclip.image.files import suffixes_read
from lhtclip.image.pixels import read_image

_PATHS = ("path", "file_name", "filename", "uri", "url", "key", "__key__", "image_id", "id")
_IMAGES = ("bytes", "image", "content", "data", "jpg", "png")


class Read(Protocol):
    """Gives the images of a chunk."""

    def digest(self, job: Job) -> Digest:
        """Digest an image's file."""
        ...

    def content(self, job: Job, config: SegmenterConfig) -> Content | str:
        """Read an image, or return the reason why it cannot be read."""
        ...


class Unit(Protocol):
    """What one task reads."""

    def chunks(self) -> Iterator[tuple[Chunk, Read]]:
        """Yield chunks, each with what reads its images."""
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """A chunk of image files on a disk that all machines share."""

    chunk: Chunk

    def chunks(self) -> Iterator[tuple[Chunk, Read]]:
        """Yield the chunk."""
        yield self.chunk, self

    def digest(self, job: Job) -> Digest:
        """Digest an image's file."""
        return Digest.of_file(job.source)

    def content(self, job: Job, config: SegmenterConfig) -> Content | str:
        """Read an image."""
        return read(job, config)


@dataclass(frozen=True, slots=True)
class Objects:
    """A chunk of image files in a bucket, whose URIs are in the order of the jobs."""

    chunk: Chunk
    uris: tuple[str, ...]

    def chunks(self) -> Iterator[tuple[Chunk, Read]]:
        """Yield the chunk, whose files are fetched when something asks for them."""
        yield self.chunk, _Fetched(dict(zip(self.chunk.jobs, self.uris, strict=True)))


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of a Parquet file with the bytes of image files in a column."""

    uri: str
    number: int
    image: str
    path: str | None

    def chunks(self) -> Iterator[tuple[Chunk, Read]]:
        """Read the row group, and yield its chunks."""
        parquet = import_extra("pyarrow.parquet", purpose="Parquet tables")
        fsspec = import_extra("fsspec", purpose="Buckets")
        columns = [self.image, *([self.path] if self.path else [])]
        with fsspec.open(self.uri, "rb") as file:
            table = parquet.ParquetFile(file).read_row_group(self.number, columns=columns)
        stem = f"{PurePosixPath(self.uri).stem}-{self.number}"
        images = table[self.image].to_pylist()
        names = (
            map(str, table[self.path].to_pylist())
            if self.path
            else (f"{stem}/{row:08d}" for row in range(len(images)))
        )
        yield from _held_chunks([*zip(names, map(_bytes_of, images), strict=True)])


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar of WebDataset: files that share a name without suffix are one sample."""

    uri: str

    def chunks(self) -> Iterator[tuple[Chunk, Read]]:
        """Read the tar from its beginning, and yield its chunks."""
        fsspec = import_extra("fsspec", purpose="Buckets")
        suffixes, stem = suffixes_read(), PurePosixPath(self.uri).stem
        some: list[tuple[str, bytes]] = []
        with fsspec.open(self.uri, "rb") as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            for member in tar:
                if member.isfile() and member.name.lower().endswith(suffixes):
                    content = tar.extractfile(member)
                    some.append((f"{stem}/{member.name}", content.read() if content else b""))
                    if len(some) == CHUNK:
                        yield from _held_chunks(some)
                        some = []
        yield from _held_chunks(some)


@dataclass(frozen=True, slots=True)
class _Held:
    """Image files in memory."""

    files: dict[Job, bytes] = field(default_factory=dict[Job, bytes])
    errors: dict[Job, str] = field(default_factory=dict[Job, str])

    def digest(self, job: Job) -> Digest:
        """Digest an image's file."""
        return Digest.of(self.files.get(job, b""))

    def content(self, job: Job, config: SegmenterConfig) -> Content | str:
        """Decode an image."""
        if job in self.errors:
            return self.errors[job]
        content = self.files[job]
        try:
            pixels = read_image(content, max_pixels=config.max_pixels, settings=config.reading)
        except InputError as error:
            return f"{job.source}: {error}"
        return Content(Digest.of(content), pixels)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Image files in a bucket; those that were asked for are in memory."""

    uris: dict[Job, str]
    held: _Held = field(default_factory=_Held)

    def digest(self, job: Job) -> Digest:
        """Digest an image's file."""
        self._fetch(job)
        return self.held.digest(job)

    def content(self, job: Job, config: SegmenterConfig) -> Content | str:
        """Decode an image."""
        self._fetch(job)
        return self.held.content(job, config)

    def _fetch(self, job: Job) -> None:
        fsspec = import_extra("fsspec", purpose="Buckets")
        if job in self.held.files or job in self.held.errors:
            return
        try:
            with fsspec.open(self.uris[job], "rb") as file:
                self.held.files[job] = file.read()
        except OSError as error:
            self.held.errors[job] = f"Cannot read {self.uris[job]}: {reason_of(error)}."


@dataclass(frozen=True, slots=True)
class TableColumns:
    """What to read of a Parquet file.

    Attributes:
        image: Column of image bytes.
        path: Column of names, if there is one.
        groups: Number of row groups.
        rows: Number of rows.
    """

    image: str
    path: str | None
    groups: int
    rows: int


def columns_of(uri: str) -> TableColumns:
    """Choose the columns of images and of their names in a Parquet file.

    Raises:
        InputError: There is no column of image bytes.
    """
    parquet = import_extra("pyarrow.parquet", purpose="Parquet tables")
    fsspec = import_extra("fsspec", purpose="Buckets")
    try:
        with fsspec.open(uri, "rb") as opened:
            file = parquet.ParquetFile(opened)
            names, about = file.schema_arrow.names, file.metadata
    except Exception as error:  # pyarrow and file systems raise errors of many kinds
        raise InputError(f"Cannot read the Parquet file {uri}: {error}.") from error
    image = next((name for name in _IMAGES if name in names), None)
    if image is None:
        raise InputError(
            f"{uri} has no column of image bytes: it has {', '.join(names)}; rename the column to "
            f"one of {', '.join(_IMAGES)}."
        )
    path = next((name for name in _PATHS if name in names), None)
    return TableColumns(image, path, about.num_row_groups, about.num_rows)


def job_named(name: str, source: Path | None = None) -> Job:
    """Return the job of an image of this name, which keeps its suffix among the results."""
    path = PurePosixPath(name.lstrip("/"))
    if not path.parts or ".." in path.parts:
        raise InputError(f"An image cannot be called {name!r}.")
    return Job(source or Path(name), ImageName(path, path))


def _held_chunks(files: Sequence[tuple[str, bytes]]) -> Iterator[tuple[Chunk, Read]]:
    held = _Held()
    for row, (name, content) in enumerate(files):
        job = job_named(name)
        held.files[job if job not in held.files else job_named(f"{row}/{name}")] = content
    for chunk in chunks_of(list(held.files)):
        yield chunk, held


def _bytes_of(value: Any) -> bytes:
    """Return the bytes of a value, which in tables of Hugging Face are in a structure."""
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else b""
