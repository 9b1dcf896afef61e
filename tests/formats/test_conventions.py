"""The values of label files in the convention of each program: first class, ignored, bits, mode."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip.formats import open_sinks
from lhtclip.formats.sink import ImageName, OutputOptions
from lhtclip.segmentation import Segmentation, ignored_label, label_dtype
from lhtclip.text.vocabulary import Vocabulary

NAME = ImageName(PurePosixPath("a.jpg"), PurePosixPath("a"))


def pixels_of(format: str, classes: int, background: int | None, **options: Any) -> Image.Image:
    """Encode one row with each of the last three classes, the first, and an ignored pixel."""
    dtype, names = label_dtype(classes), tuple(map(str, range(classes)))
    labels = np.array([[classes - 3, classes - 2, classes - 1, 0, ignored_label(dtype)]], dtype)
    scores, image = np.ones(labels.shape, np.float32), np.zeros((*labels.shape, 3), np.uint8)
    vocabulary = Vocabulary(names, names, tuple(range(classes)), background)
    (sink,) = open_sinks(format, vocabulary, OutputOptions(**options)).values()
    result = Segmentation(labels, scores, names, image, background)
    (png,) = (
        content
        for path, content in zip(sink.files(NAME), sink.encode(NAME, result), strict=True)
        if path.suffix == ".png"
    )
    return Image.open(io.BytesIO(png))


@pytest.mark.parametrize(
    ("format", "classes", "options", "mode", "expected"),
    [
        ("labels", 4, {}, "P", [1, 2, 3, 0, 255]),
        ("labels", 4, {"mode": "grey"}, "L", [1, 2, 3, 0, 255]),
        ("labels", 4, {"first_index": 1}, "P", [2, 3, 4, 1, 0]),
        ("labels", 4, {"first_index": 1, "mode": "grey"}, "L", [2, 3, 4, 1, 0]),
        ("labels", 255, {}, "P", [252, 253, 254, 0, 255]),
        ("labels", 255, {"first_index": 1}, "I;16", [253, 254, 255, 1, 0]),
        ("labels", 256, {}, "I;16", [253, 254, 255, 0, 65535]),
        ("labels", 300, {"first_index": 1, "mode": "grey"}, "I;16", [298, 299, 300, 1, 0]),
        ("hf", 4, {}, "L", [1, 2, 3, 0, 255]),
        ("hf", 4, {"first_index": 1}, "L", [2, 3, 4, 1, 0]),
        ("hf", 300, {}, "I;16", [297, 298, 299, 0, 65535]),
        ("fiftyone", 4, {"mode": "palette"}, "L", [2, 3, 4, 1, 0]),
        ("fiftyone", 300, {}, "I;16", [298, 299, 300, 1, 0]),
        ("yolo-semantic", 4, {"first_index": 1}, "L", [1, 2, 3, 0, 255]),
        ("voc", 4, {}, "P", [2, 3, 4, 1, 255]),
        ("voc", 4, {"mode": "grey"}, "L", [2, 3, 4, 1, 255]),
    ],
)
def test_values(
    format: str, classes: int, options: dict[str, Any], mode: str, expected: list[int]
) -> None:
    picture = pixels_of(format, classes, None, **options)
    assert (picture.mode, np.asarray(picture).tolist()) == (mode, [expected])


def test_the_background_is_0_in_voc_and_a_class_in_label_files() -> None:
    assert np.asarray(pixels_of("voc", 4, 1)).tolist() == [[0, 2, 3, 1, 255]]
    assert np.asarray(pixels_of("labels", 4, 1)).tolist() == [[1, 2, 3, 0, 255]]


def test_panoptic_ids_are_indices_from_1_in_red_first() -> None:
    rgb = np.asarray(pixels_of("panoptic", 300, None)).astype(int)
    assert (rgb @ [1, 256, 65536]).tolist() == [[298, 299, 300, 1, 0]]


def test_cvat_has_no_colour_for_background_and_ignored() -> None:
    rgb = np.asarray(pixels_of("cvat", 4, 0))
    assert rgb[0, 3:].tolist() == [[0, 0, 0]] * 2
    assert len(np.unique(rgb[0, :3], axis=0)) == 3
