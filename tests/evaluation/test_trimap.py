from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lhtclip.evaluation.confusion import Confusion
from lhtclip.evaluation.trimap import boundary_band, in_band
from tests.evaluation.runs import IGNORED


def blocks(seed: int, height: int, width: int, *, side: int = 4) -> NDArray[np.uint8]:
    """Squares of a few classes, some of them ignored."""
    small = np.random.default_rng(seed).integers(-1, 3, (8, 8)) % (IGNORED + 1)
    return np.kron(small, np.ones((side, side), int))[:height, :width].astype(np.uint8)


def literal_band(truth: NDArray[np.uint8], radius: int) -> NDArray[np.bool_]:
    band = np.zeros(truth.shape, dtype=np.bool_)
    height, width = truth.shape
    for y in range(height):
        for x in range(width):
            for other_y in range(height):
                for other_x in range(width):
                    distance = max(abs(other_y - y), abs(other_x - x))
                    pair = truth[y, x], truth[other_y, other_x]
                    if distance <= radius and IGNORED not in pair and pair[0] != pair[1]:
                        band[y, x] = True
    return band


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 12), st.integers(1, 14))
def test_the_band_is_that_of_literal_loops(seed: int, height: int, width: int, radius: int) -> None:
    truth = blocks(seed, height, width)
    np.testing.assert_array_equal(boundary_band(truth, radius=radius), literal_band(truth, radius))


@given(st.integers(0, 2**32), st.integers(1, 9))
def test_turned_truth_has_a_turned_band(seed: int, radius: int) -> None:
    truth = blocks(seed, 20, 31)
    turned = boundary_band(np.rot90(truth), radius=radius)
    np.testing.assert_array_equal(turned, np.rot90(boundary_band(truth, radius=radius)))


def test_both_sides_of_a_boundary_are_in() -> None:
    truth = np.repeat(np.array([[0] * 10 + [1] * 10], dtype=np.uint8), 3, axis=0)
    band = boundary_band(truth, radius=2)
    assert band[1].nonzero()[0].tolist() == [8, 9, 10, 11]


def test_corners_count_as_near() -> None:
    truth = np.zeros((5, 5), dtype=np.uint8)
    truth[0, 0] = 1
    assert boundary_band(truth, radius=2)[2, 2]
    assert not boundary_band(truth, radius=1)[2, 2]


def test_ignored_pixels_make_no_boundary_but_hide_none() -> None:
    plain = np.array([[0, 0, IGNORED, IGNORED, 0, 0]], dtype=np.uint8)
    assert not boundary_band(plain, radius=3).any()
    void_between = np.array([[0, 0, IGNORED, IGNORED, 1, 1]], dtype=np.uint8)
    band = boundary_band(void_between, radius=3)
    assert band.tolist() == [[False, True, False, False, True, False]]


@pytest.mark.parametrize("fill", [0, 7, IGNORED])
def test_one_class_has_no_boundary(fill: int) -> None:
    assert not boundary_band(np.full((9, 9), fill, dtype=np.uint8), radius=4).any()


def test_outside_the_band_all_is_ignored() -> None:
    truth = blocks(1, 24, 24, side=6)
    band = boundary_band(truth, radius=2)
    narrowed = in_band(truth, radius=2)
    assert 0 < band.sum() < (truth != IGNORED).sum()
    np.testing.assert_array_equal(narrowed[band], truth[band])
    assert (narrowed[~band] == IGNORED).all()


def test_parts_of_a_set_add_up() -> None:
    generator = np.random.default_rng(0)
    whole, *parts = (Confusion(("a", "b", "c"), ignored=IGNORED) for _ in range(3))
    for seed in range(6):
        truth = blocks(seed, 30, 25)
        predicted = generator.integers(0, 3, truth.shape)
        for confusion in (whole, parts[seed % 2]):
            confusion.add(in_band(truth, radius=3), predicted)
    np.testing.assert_array_equal((parts[0] + parts[1]).matrix, whole.matrix)
