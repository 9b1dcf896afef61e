"""Polygons filled again are the label map; simplified ones move by no more than the tolerance."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from lhtclip.errors import InputError
from lhtclip.regions.components import components_of
from lhtclip.regions.polygons import Polygon, polygons_of
from tests.filled import fill_polygons
from tests.regions.label_maps import blobs, label_maps


def fill(polygon: Polygon, size: tuple[int, int]) -> np.ndarray:
    mask = fill_polygons([polygon.outer.ravel().tolist()], size)
    for hole in polygon.holes:
        mask &= ~fill_polygons([hole.ravel().tolist()], size)
    return mask


def area(ring: np.ndarray) -> float:
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@given(label_maps())
def test_polygons_are_the_components(labels: np.ndarray) -> None:
    components = components_of(labels)
    numbers = components.map()
    for number, polygon in enumerate(polygons_of(labels)):
        np.testing.assert_array_equal(fill(polygon, labels.shape), numbers == number)
        assert polygon.area == area(polygon.outer) + sum(map(area, polygon.holes))
        assert (polygon.label, polygon.area) == (components.label[number], components.area[number])


@given(label_maps())
def test_keyholes_cover_the_same_pixels(labels: np.ndarray) -> None:
    numbers = components_of(labels).map()
    for number, polygon in enumerate(polygons_of(labels)):
        ring = polygon.keyhole()
        mask = fill_polygons([ring.ravel().tolist()], labels.shape)
        np.testing.assert_array_equal(mask, numbers == number)
        assert area(ring) == polygon.area


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_coco_api_fills_exact_polygons_exactly() -> None:
    labels = blobs(60, 50, 3, seed=0)
    numbers = components_of(labels).map()
    for number, polygon in enumerate(polygons_of(labels)):
        codes = coco.frPyObjects([polygon.keyhole().ravel().tolist()], *labels.shape)
        np.testing.assert_array_equal(coco.decode(codes)[..., 0], numbers == number)


def test_ignored_pixels_are_no_region() -> None:
    labels = np.array([[0, 255], [255, 255]], np.uint8)
    (polygon,) = polygons_of(labels, ignored=255)
    assert polygon.outer.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert polygon.box == (0, 0, 1, 1)


def smooth_labels() -> np.ndarray:
    noise = np.random.default_rng(3).normal(size=(3, 12, 16)).astype(np.float32)
    return np.argmax([cv2.resize(each, (320, 240)) for each in noise], axis=0).astype(np.uint8)


@pytest.mark.parametrize("tolerance", [0.8, 2.0, 5.0])
def test_simplified_neighbours_share_their_border(tolerance: float) -> None:
    labels = smooth_labels()
    exact, polygons = polygons_of(labels), polygons_of(labels, tolerance=tolerance)
    rings = [ring for each in polygons for ring in (each.outer, *each.holes)]
    assert sum(map(len, rings)) < 0.6 * sum(len(each.outer) for each in exact)
    # Together they cover the image once, and each side but those of the image is walked both ways.
    assert sum(map(area, rings)) == labels.size
    sides = {
        (*start, *stop)
        for ring in rings
        for start, stop in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True)
    }
    lonely = [side for side in sides if (*side[2:], *side[:2]) not in sides]
    height, width = labels.shape
    assert all(x == to_x in (0, width) or y == to_y in (0, height) for x, y, to_x, to_y in lonely)


@pytest.mark.parametrize("tolerance", [0.8, 2.0, 5.0])
def test_no_point_is_farther_from_the_outline_than_the_tolerance(tolerance: float) -> None:
    labels = smooth_labels()
    pairs = zip(polygons_of(labels), polygons_of(labels, tolerance=tolerance), strict=True)
    for exact, simple in pairs:
        ring = simple.outer.astype(np.float32).reshape(-1, 1, 2)
        for point in exact.outer.tolist():
            assert abs(cv2.pointPolygonTest(ring, point, measureDist=True)) <= tolerance + 1e-4


@given(label_maps(), st.floats(0.1, 9))
def test_every_region_keeps_an_outline(labels: np.ndarray, tolerance: float) -> None:
    polygons = polygons_of(labels, tolerance=tolerance)
    assert len(polygons) == len(components_of(labels))
    assert all(len(ring) >= 3 for each in polygons for ring in (each.outer, *each.holes))


@pytest.mark.parametrize("tolerance", [-1.0, float("nan")])
def test_a_tolerance_below_zero_is_refused(tolerance: float) -> None:
    with pytest.raises(InputError, match=f"0 or more pixels, got {tolerance}"):
        polygons_of(np.zeros((2, 2), np.uint8), tolerance=tolerance)
