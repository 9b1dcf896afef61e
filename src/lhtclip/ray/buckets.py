"""Results as files in a bucket: the folder of `lhtclip segment`, in a place without disks or locks.

Every task works in a folder of its own machine: it fetches what the bucket has of its images, works
as it would in a shared folder, and sends what is new, entries last. An object appears whole or not
at all, so this keeps the promises that renaming keeps on a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from lhtclip.batch.chunks import Chunk
from lhtclip.batch.entries import IMAGES, Entries, entry_file
from lhtclip.batch.plan import Job
from lhtclip.batch.record import (
    RECORD_FILE,
    compare_records,
    join_formats,
    parse_record,
    write_record,
)
from lhtclip.errors import InputError, OutputError
from lhtclip.extras import import_extra
from lhtclip.formats.sink import OutputOptions
from lhtclip.image.files import HIDDEN
from lhtclip.ray.results import FolderResults, Labelled, Outcome
from lhtclip.ray.units import Read
from lhtclip.text.vocabulary import Vocabulary

_AT_ONCE = 16  # objects on their way, because each takes long and needs little
_SMALL = 16 << 20  # bytes
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A folder of objects, named by a URI such as "s3://bucket/masks"; travels to every machine."""

    uri: str

    def fetch(self, names: Iterable[str], folder: Path) -> None:
        """Copy those of these objects that exist into a folder."""

        def fetch(name: str) -> None:
            try:
                content = filesystem.cat_file(f"{root}/{name}")
            except FileNotFoundError:
                return
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

        with self._opened("read") as (filesystem, root):
            _each(fetch, names)

    def send(self, names: Iterable[str], folder: Path) -> None:
        """Copy these files of a folder into the bucket."""

        def send(name: str) -> None:
            path, target = folder / name, f"{root}/{name}"
            if path.stat().st_size <= _SMALL:
                filesystem.pipe_file(target, path.read_bytes())  # a single request
            else:
                filesystem.put_file(str(path), target)

        with self._opened("write into") as (filesystem, root):
            _each(send, names)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects."""
        with self._opened("write into") as (filesystem, root):
            _each(lambda name: filesystem.rm_file(f"{root}/{name}"), names)

    def names(self, below: str = "") -> list[str]:
        """List the objects below a folder."""
        with self._opened("list") as (filesystem, root):
            found = filesystem.find(f"{root}/{below}".rstrip("/"))
            return sorted(name.removeprefix(f"{root}/") for name in found)

    @contextmanager
    def _opened(self, what: str) -> Generator[tuple[Any, str], None, None]:
        """Yield the file system and the path of the folder.

        Raises:
            OutputError: Something fails.
        """
        fsspec = import_extra("fsspec", purpose="Buckets")
        try:
            filesystem, root = fsspec.core.url_to_fs(self.uri)
            filesystem.invalidate_cache()  # others write into the bucket too
            yield filesystem, root.rstrip("/")
        except (
            Exception
        ) as error:  # file systems and their missing packages raise errors of any kind
            raise OutputError(
                f"Cannot {what} {self.uri}: {error or type(error).__name__}"
            ) from error


@dataclass(frozen=True, slots=True)
class BucketResults:
    """Files in a bucket.

    Attributes:
        bucket: The bucket.
        formats: Names of the formats.
        options: Choices about the files.
        vocabulary: The classes.
    """

    bucket: Bucket
    formats: tuple[str, ...]
    options: OutputOptions
    vocabulary: Vocabulary

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the maps that the formats need."""
        return self._in(Path()).maps

    def done(self, chunk: Chunk, read: Read) -> Mapping[Path, str]:
        """Check the entries and files of a chunk; removes results that are out of date."""
        with self._entries_of(chunk.jobs) as folder:
            found = (Entries(folder).read(job.name.path) for job in chunk.jobs)
            self.bucket.fetch((file for entry in found if entry for file in entry.files), folder)
            before = _files(folder)
            done = self._in(folder).done(chunk, read)
            self.bucket.remove(before - _files(folder))
        return done

    def before(self, chunk: Chunk, done: Mapping[Path, str]) -> list[Outcome]:
        """Return that they are done."""
        return self._in(Path()).before(chunk, done)

    def write(
        self, chunk: str, labelled: Labelled, outcomes: Sequence[Outcome]
    ) -> Iterator[Outcome]:
        """Write files, then entries."""
        with self._entries_of(job for job, *_ in labelled) as folder:
            found = list(self._in(folder).write(chunk, labelled, outcomes))
            files = _files(folder)
            entries = {name for name in files if name.startswith(HIDDEN)}
            self.bucket.send(files - entries, folder)
            self.bucket.send(entries, folder)
        yield from found

    @contextmanager
    def _entries_of(self, jobs: Iterable[Job]) -> Generator[Path, None, None]:
        """Yield a folder with the entries that the bucket has of these images."""
        with TemporaryDirectory(prefix="lhtclip-") as place:
            self.bucket.fetch((entry_file(job.name.path) for job in jobs), Path(place))
            yield Path(place)

    def _in(self, folder: Path) -> FolderResults:
        return FolderResults(folder, self.formats, self.options, self.vocabulary)


def settle(bucket: Bucket, record: dict[str, Any]) -> None:
    """Check that results may be added to a bucket, and write what they will mean.

    Raises:
        InputError: It holds results of other classes or settings, or files of unknown origin.
        OutputError: It cannot be read or written.
    """
    with TemporaryDirectory(prefix="lhtclip-") as place:
        folder = Path(place)
        bucket.fetch([RECORD_FILE], folder)
        path, name = folder / RECORD_FILE, f"{bucket.uri}/{RECORD_FILE}"
        if path.exists():
            before = parse_record(path.read_bytes(), name)
            compare_records(bucket.uri, before, record)
            join_formats(before, record)
        elif bucket.names():
            raise InputError(
                f"{bucket.uri} holds files already, but no {RECORD_FILE}: choose another output "
                "folder (--out)."
            )
        write_record(folder, record)
        bucket.send([RECORD_FILE], folder)


def finish(bucket: Bucket, write: Callable[[Path], Iterable[Path]]) -> tuple[str, ...]:
    """Write the files about the whole run, which are made from the entries of all images.

    Args:
        bucket: The bucket.
        write: Writes them into a folder that holds the entries, and returns their paths.

    Returns:
        Their URIs.
    """
    with TemporaryDirectory(prefix="lhtclip-") as place:
        folder = Path(place)
        bucket.fetch(bucket.names(f"{HIDDEN}/{IMAGES}"), folder)
        names = [path.relative_to(folder).as_posix() for path in write(folder)]
        bucket.send(names, folder)
    return tuple(f"{bucket.uri.rstrip('/')}/{name}" for name in names)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _each(work: Callable[[str], T], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in threads.map(work, names):
            pass
