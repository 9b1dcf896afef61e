"""What a user names as images becomes units: local files, buckets, Parquet tables, WebDataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lhtclip.batch.chunks import chunks_of
from lhtclip.batch.plan import Job, named, plan_jobs
from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.formats.sink import Sink
from lhtclip.image.files import suffixes_read
from lhtclip.ray.units import Files, Objects, RowGroup, Tar, Unit, columns_of

_ROWS = (".parquet", ".tar")  # files that hold many images


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The images of a run.

    Attributes:
        units: What tasks read.
        total: Number of images; 0 if it is not known before they are read.
        jobs: The images, if they are known before they are read.
    """

    units: Sequence[Unit]
    total: int
    jobs: list[Job] | None


def find_units(given: Sequence[str], out: str | Path, sinks: dict[str, Sink]) -> Found:
    """Find the images of a run.

    Args:
        given: Files, folders and globs of images, Parquet files or tars, on a shared disk or in a
            bucket ("s3://bucket/photos").
        out: Folder or URI of the results; what is inside is not labelled.
        sinks: The formats.

    Raises:
        InputError: Something given matches nothing, or holds images in several of these ways.
    """
    if not any("://" in each or _holds_rows(each) for each in given):
        jobs = plan_jobs(given, Path(out), sinks)
        jobs = [Job(Path(os.path.abspath(job.source)), job.name) for job in jobs]
        return Found([Files(chunk) for chunk in chunks_of(jobs)], len(jobs), jobs)
    results = _uri_of(out)
    listed = [item for each in given for item in _list(each, results)]
    kinds = {_kind(uri) for uri, _ in listed}
    if len(kinds) > 1:
        raise InputError(
            f"{', '.join(given)} holds {', '.join(sorted(kinds))}: use a run for each kind."
        )
    (kind,) = kinds
    if kind == "Parquet files":
        return _row_groups([uri for uri, _ in listed])
    if kind == "tars":
        return Found([Tar(uri) for uri, _ in listed], 0, None)
    jobs = named([(Path(below), below) for _, below in listed])
    _check_names(jobs)
    chunks, uris = chunks_of(jobs), [uri for uri, _ in listed]
    units: list[Unit] = []
    for chunk in chunks:
        units.append(Objects(chunk, tuple(uris[: len(chunk.jobs)])))
        uris = uris[len(chunk.jobs) :]
    return Found(units, len(jobs), jobs)


def _holds_rows(given: str) -> bool:
    """Whether a local path means Parquet files or tars, by its name or by what is in it."""
    if given.lower().endswith(_ROWS):
        return True
    folder = Path(given)
    return folder.is_dir() and any(next(folder.glob(f"*{end}"), None) for end in _ROWS)


def _row_groups(uris: list[str]) -> Found:
    units: list[Unit] = []
    total = 0
    for uri in uris:
        table = columns_of(uri)
        total += table.rows
        units += [RowGroup(uri, each, table.image, table.path) for each in range(table.groups)]
    return Found(units, total, None)


def _uri_of(out: str | Path) -> str:
    fsspec = import_extra("fsspec", purpose="Buckets")
    try:
        filesystem, path = fsspec.core.url_to_fs(str(out))
    except Exception as error:  # file systems and their missing packages raise errors of any kind
        raise InputError(f"Cannot write into {out}: {error}") from error
    return filesystem.unstrip_protocol(path)


def _check_names(jobs: Sequence[Job]) -> None:
    """Refuse two images of one name, which would become the same files."""
    seen = set[PurePosixPath]()
    for job in jobs:
        if job.name.path in seen:
            raise InputError(
                f"Two images are called {job.name.path} below what was given: give the folder that "
                "holds both, or use two runs with an output folder each."
            )
        seen.add(job.name.path)


def _list(given: str, out: str) -> list[tuple[str, PurePosixPath]]:
    """List the files of a folder, a glob or a file, each with its path below what was given.

    Files of the results, below the URI `out`, are left out.
    """
    fsspec = import_extra("fsspec", purpose="Buckets")
    try:
        filesystem, path = fsspec.core.url_to_fs(given)
        files, base = _files_of(filesystem, path)
    except Exception as error:  # file systems and their missing packages raise errors of any kind
        raise InputError(f"Cannot list {given}: {error}") from error
    listed = [
        (filesystem.unstrip_protocol(file), PurePosixPath(file).relative_to(base))
        for file in sorted(files)
        if file.lower().endswith((*_ROWS, *suffixes_read()))
    ]
    wanted = [each for each in listed if not each[0].startswith(f"{out.rstrip('/')}/")]
    if not wanted:
        raise InputError(f"{given} matches no images, Parquet files or tars.")
    return wanted


def _files_of(filesystem: Any, path: str) -> tuple[list[str], PurePosixPath]:
    if any(letter in path for letter in "*?["):
        base = PurePosixPath(path)
        while any(letter in str(base) for letter in "*?["):
            base = base.parent
        return list(filesystem.glob(path)), base
    if filesystem.isdir(path):
        return list(filesystem.find(path)), PurePosixPath(path)
    return [path], PurePosixPath(path).parent


def _kind(uri: str) -> str:
    for suffix, kind in ((".parquet", "Parquet files"), (".tar", "tars")):
        if uri.lower().endswith(suffix):
            return kind
    return "images"
