"""Masks from outlines, compared to pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as oracle

from lhtclip.datasets.outlines import fill_polygons, fill_runs
from lhtclip.errors import InputError

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS)
def test_compressed_runs(mask: NDArray[np.bool_]) -> None:
    encoded = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
    for counts in (encoded["counts"], encoded["counts"].decode()):
        np.testing.assert_array_equal(fill_runs(counts, mask.shape), mask)


@given(MASKS)
def test_plain_runs(mask: NDArray[np.bool_]) -> None:
    columns = mask.T.ravel()
    turns = np.flatnonzero(np.diff(np.concatenate(([False], columns))))
    counts = np.diff(np.concatenate(([0], turns, [columns.size]))).tolist()
    np.testing.assert_array_equal(fill_runs(counts, mask.shape), mask)


def test_runs_longer_than_a_character() -> None:
    height, width = 300, 400
    mask = np.zeros((height, width), np.bool_)
    mask[10:280, 5:390] = True
    mask[100:110, 50:60] = False
    encoded = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
    np.testing.assert_array_equal(fill_runs(encoded["counts"], (height, width)), mask)


def test_runs_by_hand() -> None:
    # columns: the first has its lower pixel, the second both, the third none
    expected = [[False, True, False], [True, True, False]]
    np.testing.assert_array_equal(fill_runs([1, 3, 2], (2, 3)), expected)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, 4], "cover 7 pixels of a picture of 2 x 3"),
        ([-1, 7], "cover 6 pixels"),
        ([], "cover 0 pixels"),
        ("!", "hold the character '!'"),
        ("T", "end in the middle of a number"),
    ],
)
def test_runs_that_cannot_be(counts: str | list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fill_runs(counts, (2, 3))


@given(
    st.tuples(st.integers(0, 20), st.integers(0, 15)),
    st.tuples(st.integers(0, 20), st.integers(0, 15)),
)
def test_rectangles_along_the_pixels(one: tuple[int, int], other: tuple[int, int]) -> None:
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(one, other, strict=True))
    mask = fill_polygons([[left, top, right, top, right, bottom, left, bottom]], (15, 20))
    expected = np.zeros((15, 20), np.bool_)
    expected[top:bottom, left:right] = True
    np.testing.assert_array_equal(mask, expected)


def literally(polygon: list[float], row: int, column: int) -> bool:
    """Whether the middle of a pixel has an odd number of edges to its left."""
    x, y = column + 0.5, row + 0.5
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    inside = False
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x:
            inside = not inside
    return inside


@given(st.lists(st.tuples(st.integers(-20, 60), st.integers(-20, 60)), min_size=3, max_size=9))
def test_polygons_pixel_by_pixel(corners: list[tuple[int, int]]) -> None:
    polygon = [number / 4 + 0.05 for corner in corners for number in corner]
    expected = [[literally(polygon, row, column) for column in range(13)] for row in range(11)]
    np.testing.assert_array_equal(fill_polygons([polygon], (11, 13)), expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools'
@pytest.mark.parametrize("seed", range(10))
def test_blobs_are_those_of_pycocotools(seed: int) -> None:
    """Differences lie along the outline, less than a pixel in 10 of it, and to both sides."""
    random = np.random.default_rng(seed)
    height, width = 120, 160
    angles = np.sort(random.uniform(0, 2 * np.pi, 40))
    radii = random.uniform(30, 70, 40)
    x, y = 80 + radii * np.cos(angles), 60 + radii * np.sin(angles)
    polygon = np.stack([x, y], axis=1).round(2).ravel().tolist()
    runs = oracle.frPyObjects([polygon], height, width)
    expected = oracle.decode(oracle.merge(runs)).astype(bool)
    mask = fill_polygons([polygon], (height, width))
    outline = np.hypot(np.diff(x, append=x[0]), np.diff(y, append=y[0])).sum()
    assert np.count_nonzero(mask != expected) < outline / 10
    assert abs(int(mask.sum()) - int(expected.sum())) < outline / 20


def test_parts_are_joined_and_cut_off() -> None:
    inside = [2.0, 2.0, 6.0, 2.0, 6.0, 6.0, 2.0, 6.0]
    across = [5.0, 5.0, 30.0, 5.0, 30.0, 30.0, 5.0, 30.0]
    outside = [50.0, 50.0, 60.0, 50.0, 60.0, 60.0]
    mask = fill_polygons([inside, across, outside], (10, 12))
    expected = np.zeros((10, 12), np.bool_)
    expected[2:6, 2:6] = True
    expected[5:, 5:] = True
    np.testing.assert_array_equal(mask, expected)
    assert not fill_polygons([], (10, 12)).any()


@pytest.mark.parametrize("numbers", [0, 4, 7])
def test_polygons_that_cannot_be(numbers: int) -> None:
    with pytest.raises(InputError, match=f"has {numbers} numbers"):
        fill_polygons([[0.0] * numbers], (4, 4))
