"""Regions traced strip by strip are those of the whole map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import shapes
from shapely import normalize
from shapely.geometry import shape

from lhtclip.maps.job import STEPS
from lhtclip.maps.parts import Strip
from lhtclip.maps.regions import Region, trace

NODATA = 255


def strips_of(labels: np.ndarray, scores: np.ndarray, cuts: Sequence[int]) -> list[Strip]:
    bounds = [0, *sorted(set(cuts)), len(labels)]
    return [
        Strip(top, labels[top:bottom], scores[top:bottom], None) for top, bottom in pairwise(bounds)
    ]


def described(regions: Sequence[Region]) -> list[tuple[Any, ...]]:
    return sorted((each.value, normalize(each.outline).wkt, each.pixels) for each in regions)


@given(
    st.data(),
    arrays(np.uint8, st.tuples(st.integers(2, 12), st.integers(1, 9)), elements=st.integers(0, 2)),
)
def test_seams_change_no_region(data: st.DataObject, labels: np.ndarray) -> None:
    labels = np.where(labels == 2, NODATA, labels).astype(np.uint8)
    scores = np.arange(labels.size, dtype=np.uint8).reshape(labels.shape)
    cuts = data.draw(st.lists(st.integers(1, len(labels) - 1)))
    found = list(trace(strips_of(labels, scores, cuts)))
    expected = [
        (int(value), normalize(shape(each)).wkt, int(shape(each).area))
        for each, value in shapes(labels, mask=labels != NODATA, connectivity=4)
    ]
    assert described(found) == sorted(expected)
    assert all(each.outline.is_valid for each in found)
    seen = labels != NODATA
    total = sum(each.score * each.pixels for each in found) * STEPS
    assert total == pytest.approx(int(scores[seen].sum()))


def test_a_region_that_two_arms_join_below_is_one_and_small_ones_are_left_out() -> None:
    labels = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], np.uint8)
    scores = np.full(labels.shape, STEPS, np.uint8)
    found = list(trace(strips_of(labels, scores, [1, 2, 3]), min_area=2))
    assert [(each.value, each.pixels, each.score) for each in found] == [(1, 2, 1), (0, 9, 1)]
    assert found[0].outline.bounds == (1, 0, 2, 2)
