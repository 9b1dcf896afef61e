"""Areas as tables, with a row for each class of each image, as CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.extras import import_extra
from lhtclip.regions.components import components_of
from lhtclip.regions.runs import Labels

COLUMNS = ("image", "class", "index", "pixels", "share", "mean_score", "regions")


def rows(
    image: str, labels: Labels, scores: NDArray[np.float32], names: tuple[str, ...]
) -> list[tuple[Any, ...]]:
    """Measure every class of an image; absent classes have no mean score.

    Args:
        image: The image's name.
        labels: Class indices (height, width).
        scores: Score of each pixel's class (height, width).
        names: The classes.
    """
    count = len(names)
    flat = np.minimum(labels.ravel(), count)
    pixels = np.bincount(flat, minlength=count + 1)[:count].tolist()
    sums = np.bincount(flat, weights=scores.ravel(), minlength=count + 1)[:count].tolist()
    regions = np.bincount(components_of(labels).label, minlength=count)[:count].tolist()
    return [
        (
            image,
            name,
            index,
            pixels[index],
            round(pixels[index] / labels.size, 6),
            round(sums[index] / pixels[index], 4) if pixels[index] else None,
            regions[index],
        )
        for index, name in enumerate(names)
    ]


def csv_table(content: Iterable[tuple[Any, ...]]) -> bytes:
    """Write rows as CSV (RFC 4180, UTF-8) with a header line."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(content)
    return text.getvalue().encode()


def parquet_table(content: Iterable[tuple[Any, ...]]) -> bytes:
    """Write rows as a Parquet file.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    arrow = import_extra("pyarrow", purpose="Parquet tables")
    parquet = import_extra("pyarrow.parquet", purpose="Parquet tables")
    columns = list(zip(*content, strict=True)) or [()] * len(COLUMNS)
    types = (arrow.string(), arrow.string(), arrow.int32(), arrow.int64(), arrow.float64())
    types += (arrow.float64(), arrow.int64())
    table = arrow.table(
        {
            name: arrow.array(values, type=kind)
            for name, values, kind in zip(COLUMNS, columns, types, strict=True)
        }
    )
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def data_frame(content: Iterable[tuple[Any, ...]]) -> Any:
    """Return rows as a `pandas.DataFrame`.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    pandas = import_extra("pandas", purpose="Data frames")
    return pandas.DataFrame(list(content), columns=list(COLUMNS))
