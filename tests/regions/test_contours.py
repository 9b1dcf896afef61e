"""Contours: filled again they are the label map, and they run where the region is on the right."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lhtclip.regions.components import components_of
from lhtclip.regions.contours import Contours, trace
from tests.regions.label_maps import blobs, label_maps


def winding(contours: Contours, size: tuple[int, int]) -> np.ndarray:
    """How often each outline goes around each pixel (outlines, height, width)."""
    height, width = size
    steps = np.zeros((len(contours.bounds) - 1, height, width + 1), np.int64)
    for index, (first, last) in enumerate(
        zip(contours.bounds[:-1], contours.bounds[1:], strict=True)
    ):
        ring = contours.points[first:last]
        for (x, y), (to_x, to_y) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            assert (x == to_x) != (y == to_y)  # along pixel sides
            steps[index, min(y, to_y) : max(y, to_y), x] += np.sign(y - to_y)
    return np.cumsum(steps, axis=2)[:, :, :-1]


@given(label_maps(), st.sampled_from([4, 8]))
def test_outlines_go_once_around_their_component(labels: np.ndarray, connectivity: int) -> None:
    contours = trace(labels, connectivity=connectivity)
    numbers = components_of(labels, connectivity=connectivity).map()
    around = winding(contours, labels.shape)
    owner = numbers[contours.inside[:, 0], contours.inside[:, 1]]
    for number in range(numbers.max() + 1):
        total = around[owner == number].sum(axis=0)
        np.testing.assert_array_equal(total, numbers == number)


@given(label_maps())
def test_each_component_has_one_outer_outline_and_all_start_at_the_upper_left(
    labels: np.ndarray,
) -> None:
    contours = trace(labels)
    outer = np.array([plane.sum() > 0 for plane in winding(contours, labels.shape)])
    assert np.sum(outer) == len(components_of(labels))
    for first, last in zip(contours.bounds[:-1], contours.bounds[1:], strict=True):
        ring = contours.points[first:last].tolist()
        assert ring[0] == min(ring, key=lambda point: (point[1], point[0]))


def test_points_that_do_not_turn_mark_where_others_meet() -> None:
    labels = np.array([[0, 0, 0], [1, 1, 2]], np.uint8)
    contours = trace(labels)
    straight = contours.points[~contours.turns].tolist()
    assert straight.count([2, 1]) == 1  # on the straight side of label 0
    assert all(contours.fixed[~contours.turns])


def test_turns_alone_give_the_same_area() -> None:
    labels = blobs(50, 60, 3, seed=2)
    contours = trace(labels)
    total = 0.0
    for first, last in zip(contours.bounds[:-1], contours.bounds[1:], strict=True):
        x, y = contours.points[first:last][contours.turns[first:last]].T
        total += (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert total == labels.size
