"""`csv` and `parquet`: a table of areas, a row for each class of each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.extras import import_extra
from lhtclip.formats.sink import ImageName, OutputOptions, Parts, Sink
from lhtclip.output.annotations.tables import csv_table, parquet_table, rows
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Vocabulary


class Csv(Sink):
    """areas.csv."""

    names_inside = True

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (PurePosixPath("areas.csv"),)

    def part(self, image: ImageName, result: Segmentation) -> Any:
        """Return the rows of an image."""
        return rows(image.path.as_posix(), result.labels, result.scores, result.names)

    def assemble(self, parts: Parts) -> Iterable[bytes]:
        """Write the table."""
        return (csv_table(_rows(parts)),)


class Parquet(Csv):
    """areas.parquet."""

    def __init__(self, vocabulary: Vocabulary, options: OutputOptions) -> None:
        """Refuse to begin without what writes the table.

        Raises:
            MissingDependencyError: pyarrow is not installed.
        """
        super().__init__(vocabulary, options)
        import_extra("pyarrow", purpose="Parquet tables")

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (PurePosixPath("areas.parquet"),)

    def assemble(self, parts: Parts) -> Iterable[bytes]:
        """Write the table."""
        return (parquet_table(_rows(parts)),)


def _rows(parts: Parts) -> Iterator[tuple[Any, ...]]:
    return (tuple(row) for part in parts for row in part.content)
