"""Connected components against SciPy's, and small regions that give way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from lhtclip.errors import InputError
from lhtclip.regions.components import components_of
from lhtclip.regions.merging import merge_small
from lhtclip.regions.runs import runs_of
from tests.regions.label_maps import blobs, label_maps

STRUCTURES = {4: ndimage.generate_binary_structure(2, 1), 8: np.ones((3, 3))}


@given(label_maps())
def test_runs_paint_the_map_they_came_from(labels: np.ndarray) -> None:
    runs = runs_of(labels)
    np.testing.assert_array_equal(runs.paint(runs.label), labels)
    rows, columns = (axis.ravel() for axis in np.indices(labels.shape))
    np.testing.assert_array_equal(runs.label[runs.at(rows, columns)], labels.ravel())


@given(label_maps(), st.sampled_from([4, 8]))
def test_components_are_scipys(labels: np.ndarray, connectivity: int) -> None:
    components = components_of(labels, connectivity=connectivity)
    ours = components.map()
    count = 0
    for label in np.unique(labels):
        theirs, found = ndimage.label(labels == label, structure=STRUCTURES[connectivity])
        count += found
        for index, place in enumerate(ndimage.find_objects(theirs), start=1):
            number = ours[theirs == index][0]
            np.testing.assert_array_equal(ours == number, theirs == index)
            rows, columns = place
            assert components.label[number] == label
            assert components.area[number] == np.count_nonzero(theirs == index)
            assert components.box[number].tolist() == [
                columns.start,
                rows.start,
                columns.stop - columns.start,
                rows.stop - rows.start,
            ]
    assert len(components) == count


def test_a_snake_is_one_component() -> None:
    labels = np.zeros((41, 41), np.uint8)
    labels[::2] = 1
    labels[1::4, -1] = labels[3::4, 0] = 1
    assert np.sum(components_of(labels).label == 1) == 1


@given(label_maps(), st.integers(0, 8))
def test_merging_leaves_only_regions_of_the_least_area(labels: np.ndarray, least: int) -> None:
    merged = merge_small(labels, least)
    areas = components_of(merged).area
    assert merged.dtype == labels.dtype
    assert len(areas) == 1 or areas.min() >= least
    assert set(np.unique(merged)) <= set(np.unique(labels))


def test_merging_nothing_changes_nothing() -> None:
    labels = blobs(30, 40, 4, seed=0)
    np.testing.assert_array_equal(merge_small(labels, 1), labels)


def test_the_neighbour_with_the_longest_border_takes_a_region_in() -> None:
    labels = np.array([[1, 1, 1, 1], [2, 0, 3, 3], [1, 1, 1, 1]], np.uint8)
    merged = merge_small(labels, 2)
    assert merged.tolist() == [[1, 1, 1, 1], [1, 1, 3, 3], [1, 1, 1, 1]]


def test_ignored_pixels_neither_give_way_nor_take_in() -> None:
    labels = np.array([[255, 255, 255], [255, 1, 255], [255, 255, 2]], np.uint8)
    np.testing.assert_array_equal(merge_small(labels, 9, ignored=255), labels)


def test_another_connectivity_is_refused() -> None:
    with pytest.raises(InputError, match="one of 4, 8, not 6"):
        components_of(np.zeros((2, 2), np.uint8), connectivity=6)
