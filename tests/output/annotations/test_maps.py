"""Label maps renumbered and coloured for CVAT, Pascal VOC and others."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.output.annotations import cvat
from lhtclip.output.annotations.classes import ClassList, shifted
from tests.output.annotations.scene import CLASSES, LABELS, NAMES


def test_voc_counts_objects_from_1_and_ignores_255() -> None:
    values = CLASSES.with_background_first(LABELS, program="VOC")
    np.testing.assert_array_equal(values, LABELS)
    without = ClassList(NAMES).with_background_first(LABELS, program="VOC")
    np.testing.assert_array_equal(without, np.where(LABELS == 255, 255, LABELS + 1))


def test_a_byte_holds_254_classes_beside_the_background() -> None:
    names = tuple(map(str, range(255)))
    with pytest.raises(InputError, match=r"254 classes .* got 255.*coco or panoptic"):
        ClassList(names).with_background_first(LABELS, program="VOC")
    assert ClassList(names, background=0).with_background_first(LABELS, program="VOC").max() == 255


@pytest.mark.parametrize(
    ("labels", "classes", "expected", "dtype"),
    [
        (np.array([[0, 3, 255]], np.uint8), 4, [[1, 4, 0]], np.uint8),
        (np.array([[0, 253, 255]], np.uint8), 254, [[1, 254, 0]], np.uint8),
        (np.array([[0, 3, 255]], np.uint8), 255, [[1, 4, 0]], np.uint16),
        (np.array([[0, 299, 65535]], np.uint16), 300, [[1, 300, 0]], np.uint16),
    ],
)
def test_labels_from_1_leave_0_for_ignored(
    labels: np.ndarray, classes: int, expected: list[list[int]], dtype: type
) -> None:
    moved = shifted(labels, 1, classes=classes)
    assert (moved.tolist(), moved.dtype) == (expected, dtype)
    assert shifted(labels, 0, classes=classes) is labels


def test_cvat_colours_are_all_declared() -> None:
    colours = {}
    for line in cvat.labelmap(CLASSES).splitlines()[1:]:
        name, colour, _, _ = line.split(":")
        colours[tuple(map(int, colour.split(",")))] = name
    assert list(colours.values()) == list(NAMES)
    picture = Image.open(io.BytesIO(cvat.colour_mask(LABELS, CLASSES)))
    assert picture.mode == "RGB"
    found = [[NAMES.index(colours[tuple(pixel)]) for pixel in row] for row in np.array(picture)]
    np.testing.assert_array_equal(found, np.where(LABELS == 255, 0, LABELS))


@pytest.mark.parametrize("name", ["day:night", "c# code"])
def test_names_that_cvats_list_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}.*coco"):
        cvat.labelmap(ClassList(("car", name)))
