"""Counts of a run are not believed where they were changed, or do not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lhtclip.errors import InputError
from lhtclip.evaluation.state import Counts, Tally

SETTINGS = {"images": 3, "method": "sclip"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tally = Tally(["car", "road"], with_trimap=True)
    for share in (1.0, float("nan")):
        tally.add(
            Counts(np.array([[5, 1], [0, 2]]), np.array([[1, 0], [0, 1]]), share, (Path("i"),), "d")
        )
    path = tmp_path / "scenes.confusion.npz"
    tally.save(path, keys=["a", "b", "c"], settings=SETTINGS)
    return path


def test_sound_counts_are_read(path: Path) -> None:
    tally = Tally.load(path, settings=SETTINGS)
    assert tally.images == 2
    assert tally.confusion.matrix.tolist() == [[10, 2], [0, 4]]


@pytest.mark.parametrize(
    "change",
    [
        {"confusion": np.array([[7]])},
        {"confusion": np.array([[-1, 0], [0, 0]])},
        {"confusion": np.array([[10, 3], [0, 4]])},
        {"trimap": np.zeros((3, 3), np.int64)},
        {"image_iou": np.ones(10)},
        {"settings": np.array("[" * 10_000)},
        {"seconds": np.array("x")},
        {"digest": np.array("0")},
    ],
    ids=str,
)
def test_changed_counts_are_refused(path: Path, change: dict[str, Any]) -> None:
    with np.load(path) as arrays:
        content = dict(arrays)
    np.savez(path, **content | change)
    with pytest.raises(InputError, match="cannot be read"):
        Tally.load(path, settings=SETTINGS)
