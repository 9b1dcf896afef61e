"""Areas as CSV and Parquet."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from scipy import ndimage

from lhtclip.output.annotations import tables
from tests.output.annotations.scene import LABELS, NAMES, SCORES


def test_rows_measure_every_class() -> None:
    rows = tables.rows("a.jpg", LABELS, SCORES, (*NAMES, "absent"))
    for index, row in enumerate(rows[:-1]):
        mask = index == LABELS
        assert row[:4] == ("a.jpg", NAMES[index], index, mask.sum())
        assert row[4] == pytest.approx(mask.mean(), abs=1e-6)
        assert row[5] == pytest.approx(SCORES[mask].mean(), abs=1e-4)
        assert row[6] == ndimage.label(mask)[1]
    assert rows[-1] == ("a.jpg", "absent", 4, 0, 0.0, None, 0)


def test_csv_quotes_what_needs_it() -> None:
    rows = tables.rows("a, b.jpg", LABELS, SCORES, NAMES)
    read = list(csv.DictReader(io.StringIO(tables.csv_table(rows).decode())))
    assert [row["class"] for row in read] == list(NAMES)
    assert {row["image"] for row in read} == {"a, b.jpg"}
    assert sum(int(row["pixels"]) for row in read) == np.sum(LABELS < 255)


def test_parquet_has_types() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = tables.rows("a.jpg", LABELS, SCORES, (*NAMES, "absent"))
    table = parquet.read_table(io.BytesIO(tables.parquet_table(rows)))
    assert table.column_names == list(tables.COLUMNS)
    assert table.column("mean_score").to_pylist()[-1] is None
    assert tables.parquet_table([])
