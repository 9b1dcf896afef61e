"""Where results go: files in a folder, as `lhtclip segment` writes them, or a Parquet dataset."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from lhtclip.batch.chunks import Chunk
from lhtclip.batch.entries import Digest, Entries
from lhtclip.batch.folder import remove_results
from lhtclip.batch.labelling import maps_of
from lhtclip.batch.plan import Job
from lhtclip.batch.writing import Writer
from lhtclip.errors import InputError, reason_of
from lhtclip.extras import import_extra
from lhtclip.formats import open_sinks
from lhtclip.formats.sink import OutputOptions
from lhtclip.output.png import encode_labels
from lhtclip.ray.batches import measures_of
from lhtclip.ray.units import Read
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Vocabulary

_RECORD = "_classes.json"  # readers of Parquet datasets pass over names with an underscore
Labelled = Sequence[tuple[Job, Digest, Segmentation]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an image.

    Attributes:
        image: Its path.
        skipped: Whether that happened in an earlier run.
        reason: Why it could not be labelled; empty if it was.
    """

    image: str
    skipped: bool = False
    reason: str = ""


class Results(Protocol):
    """Where results go; travels to every machine."""

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the maps that results need in addition to labels and scores."""
        ...

    def done(self, chunk: Chunk, read: Read) -> Mapping[Path, str]:
        """Return the images that are done, each with the digest of the chunk it was labelled in."""
        ...

    def before(self, chunk: Chunk, done: Mapping[Path, str]) -> list[Outcome]:
        """Return the outcomes of these images in earlier runs."""
        ...

    def write(
        self, chunk: str, labelled: Labelled, outcomes: Sequence[Outcome]
    ) -> Iterator[Outcome]:
        """Write the results of a chunk; yields the outcomes of all its images."""
        ...


@dataclass(frozen=True, slots=True)
class FolderResults:
    """Files in a folder that all machines share.

    Attributes:
        out: The folder.
        formats: Names of the formats.
        options: Choices about the files.
        vocabulary: The classes.
    """

    out: Path
    formats: tuple[str, ...]
    options: OutputOptions
    vocabulary: Vocabulary

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the maps that the formats need."""
        return maps_of(open_sinks(self.formats, self.vocabulary, self.options))

    def done(self, chunk: Chunk, read: Read) -> Mapping[Path, str]:
        """Check the entries and files of a chunk; removes results that are out of date."""
        sinks = open_sinks(self.formats, self.vocabulary, self.options)
        entries, found = Entries(self.out), dict[Path, str]()
        for job in chunk.jobs:
            entry, done = entries.find(job.name, lambda job=job: read.digest(job), sinks)
            if entry and done:
                found[job.source] = entry.chunk
            elif entry:
                remove_results(self.out, [entry])
        return found

    def before(self, chunk: Chunk, done: Mapping[Path, str]) -> list[Outcome]:
        """Return that they are done."""
        names = (job.name.path.as_posix() for job in chunk.jobs if job.source in done)
        return [Outcome(name, skipped=True) for name in names]

    def write(
        self, chunk: str, labelled: Labelled, outcomes: Sequence[Outcome]
    ) -> Iterator[Outcome]:
        """Write files and entries."""
        writer = Writer(self.out, open_sinks(self.formats, self.vocabulary, self.options))
        yield from outcomes
        for job, digest, result in labelled:
            written = writer.write(job, digest, chunk, result)
            yield Outcome(job.name.path.as_posix(), reason=written.error or "")


@dataclass(frozen=True, slots=True)
class TableResults:
    """A Parquet dataset: a file a chunk, in the order in which they are written.

    Attributes:
        out: Folder or URI.
        vocabulary: The classes.
        fingerprint: Of everything that decides labels; a column of the table.
    """

    out: str
    vocabulary: Vocabulary
    fingerprint: str

    @classmethod
    def of(cls, out: str, vocabulary: Vocabulary, settings: Mapping[str, Any]) -> TableResults:
        """Choose a folder or URI for labels of some classes by some settings."""
        if "://" not in out:
            out = os.path.abspath(out)
        decisive = json.dumps([asdict(vocabulary), dict(settings)], sort_keys=True)
        return cls(out, vocabulary, hashlib.sha256(decisive.encode()).hexdigest()[:16])

    def settle(self, record: Mapping[str, Any]) -> None:
        """Check that rows may be added to the dataset, and write what its labels mean.

        Raises:
            InputError: It holds rows of other classes or settings, or cannot be written.
        """
        filesystem, folder = _opened(self.out)
        about = f"{folder}/{_RECORD}"
        now = {"fingerprint": self.fingerprint, **record}
        try:
            if filesystem.exists(about):
                before = json.loads(filesystem.cat_file(about))
                if before.get("fingerprint") != self.fingerprint:
                    raise InputError(
                        f"{self.out} holds rows of other classes or settings ({_RECORD} says "
                        "which): choose another output folder (--out)."
                    )
                return
            filesystem.makedirs(folder, exist_ok=True)
            filesystem.pipe_file(about, json.dumps(now, indent=2).encode())
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"Cannot write a table into {self.out}: {error}.") from error

    @property
    def maps(self) -> tuple[str, ...]:
        """Return none: a table has labels, shares and mean scores."""
        return ()

    def done(self, chunk: Chunk, read: Read) -> Mapping[Path, str]:
        """Return all images of a chunk whose file exists."""
        filesystem, folder = _opened(self.out)
        if not filesystem.exists(f"{folder}/{part_name(chunk.digest)}"):
            return {}
        return {job.source: chunk.digest for job in chunk.jobs}

    def before(self, chunk: Chunk, done: Mapping[Path, str]) -> list[Outcome]:
        """Read them in the chunk's file."""
        if not done:
            return []
        parquet = import_extra("pyarrow.parquet", purpose="Parquet tables")
        filesystem, folder = _opened(self.out)
        with filesystem.open(f"{folder}/{part_name(chunk.digest)}", "rb") as file:
            rows = parquet.read_table(file, columns=["path", "error"]).to_pylist()
        return [Outcome(row["path"], True, row["error"] or "") for row in rows]

    def write(
        self, chunk: str, labelled: Labelled, outcomes: Sequence[Outcome]
    ) -> Iterator[Outcome]:
        """Write the file of a chunk, unless it is there."""
        if labelled or any(outcome.reason and not outcome.skipped for outcome in outcomes):
            rows = [self._row(job, result) for job, _, result in labelled]
            rows += [{"path": each.image, "error": each.reason} for each in outcomes if each.reason]
            self._write(chunk, sorted(rows, key=lambda row: row["path"]))
        yield from outcomes
        for job, *_ in labelled:
            yield Outcome(job.name.path.as_posix())

    def _row(self, job: Job, result: Segmentation) -> dict[str, Any]:
        shares, scores = measures_of(result)
        return {
            "path": job.name.path.as_posix(),
            "labels": encode_labels(result.labels, result.colours),
            "height": result.labels.shape[0],
            "width": result.labels.shape[1],
            "shares": shares,
            "scores": [None if score != score else score for score in scores],
        }

    def _write(self, chunk: str, rows: list[dict[str, Any]]) -> None:
        arrow = import_extra("pyarrow", purpose="Parquet tables")
        parquet = import_extra("pyarrow.parquet", purpose="Parquet tables")
        schema = arrow.schema(
            [
                ("path", arrow.string()),
                ("labels", arrow.binary()),
                ("height", arrow.int32()),
                ("width", arrow.int32()),
                ("shares", arrow.list_(arrow.float64())),
                ("scores", arrow.list_(arrow.float64())),
                ("error", arrow.string()),
                ("fingerprint", arrow.string()),
            ]
        )
        for row in rows:
            row["fingerprint"] = self.fingerprint
        table, file = arrow.Table.from_pylist(rows, schema=schema), io.BytesIO()
        parquet.write_table(table, file)
        filesystem, folder = _opened(self.out)
        whole = f"{folder}/{part_name(chunk)}"
        try:
            filesystem.makedirs(folder, exist_ok=True)
            if filesystem.protocol in ("file", ("file", "local")):  # objects appear whole
                temporary = f"{folder}/.{part_name(chunk)}.tmp"
                filesystem.pipe_file(temporary, file.getvalue())
                filesystem.mv(temporary, whole)
            else:
                filesystem.pipe_file(whole, file.getvalue())
        except OSError as error:
            raise InputError(f"Cannot write {whole}: {reason_of(error)}.") from error


def part_name(chunk: str) -> str:
    """Return the name of the file of a chunk."""
    return f"part-{chunk}.parquet"


def _opened(uri: str) -> tuple[Any, str]:
    fsspec = import_extra("fsspec", purpose="Buckets")
    return fsspec.core.url_to_fs(uri)
