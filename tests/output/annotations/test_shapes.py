"""LabelMe, YOLO and Label Studio, drawn again by the rules of their readers."""

from __future__ import annotations

import base64
import io
import json
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from lhtclip.output.annotations import label_studio, labelme, yolo
from lhtclip.regions.brush import brushes_of_labels
from tests.filled import fill_polygons
from tests.output.annotations.scene import CLASSES, LABELS, NAMES, scene_instances

OBJECTS = np.where(LABELS == 255, 0, LABELS)


def rle_unpacked(data: list[int]) -> np.ndarray:
    """What thi.ng's rle-pack decodes, bit by bit."""
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        repeated = read(1)
        length = 1 + read(sizes[read(2)])
        values += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    return np.array(values, np.uint8)


def test_brushes_are_the_classes() -> None:
    text = label_studio.task(scene_instances(), CLASSES, image="/a.jpg", model_version="v")
    (prediction,) = json.loads(text)["predictions"]
    drawn = np.zeros_like(LABELS)
    for result in prediction["result"]:
        assert (result["type"], result["from_name"], result["to_name"]) == (
            "brushlabels",
            "label",
            "image",
        )
        assert (result["original_height"], result["original_width"]) == LABELS.shape
        rgba = rle_unpacked(result["value"]["rle"]).reshape(*LABELS.shape, 4)
        assert (rgba == rgba[..., :1]).all()
        (name,) = result["value"]["brushlabels"]
        drawn[rgba[..., 3] > 0] = NAMES.index(name)
    np.testing.assert_array_equal(drawn, OBJECTS)
    assert 0 < prediction["score"] < 1


def test_long_runs_are_cut() -> None:
    mask = np.zeros((400, 300), np.bool_)
    mask[200:, 100:] = True
    values = rle_unpacked(brushes_of_labels(mask.view(np.uint8))[1])
    np.testing.assert_array_equal(values.reshape(400, 300, 4)[..., 0] > 0, mask)


def test_polygons_are_percent_of_the_image() -> None:
    text = label_studio.task(
        scene_instances(), CLASSES, image="/a.jpg", model_version="v", shape="polygon"
    )
    drawn = np.zeros_like(LABELS)
    for result in json.loads(text)["predictions"][0]["result"]:
        points = np.array(result["value"]["points"]) * [LABELS.shape[1], LABELS.shape[0]] / 100
        mask = fill_polygons([points.round(6).ravel().tolist()], LABELS.shape)
        drawn[mask] = NAMES.index(result["value"]["polygonlabels"][0])
    np.testing.assert_array_equal(drawn, OBJECTS)


@pytest.mark.parametrize(("shape", "tag"), [("mask", "BrushLabels"), ("polygon", "PolygonLabels")])
def test_the_interface_names_what_predictions_refer_to(shape: str, tag: str) -> None:
    view = ElementTree.fromstring(label_studio.interface(CLASSES, shape=shape))
    image, control = view.find("Image"), view.find(tag)
    assert image is not None
    assert control is not None
    assert image.attrib["name"] == control.attrib["toName"] == "image"
    assert control.attrib["name"] == "label"
    assert [each.attrib["value"] for each in control] == list(NAMES[1:])


def test_labelme_masks_are_the_regions() -> None:
    text = labelme.document(scene_instances(), CLASSES, image_path="../a.jpg")
    document = json.loads(text)
    drawn = np.zeros_like(LABELS)
    for shape in document["shapes"]:
        (left, top), (right, bottom) = shape["points"]
        mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
        drawn[top : bottom + 1, left : right + 1][mask] = NAMES.index(shape["label"])
    np.testing.assert_array_equal(drawn, OBJECTS)
    assert (document["imageHeight"], document["imageWidth"]) == LABELS.shape
    assert (document["imagePath"], document["imageData"]) == ("../a.jpg", None)


def test_labelme_polygons_are_the_regions() -> None:
    text = labelme.document(scene_instances(), CLASSES, image_path="a.jpg", shape="polygon")
    document = json.loads(text)
    drawn = np.zeros_like(LABELS)
    for shape in document["shapes"]:
        mask = fill_polygons([np.ravel(shape["points"]).tolist()], LABELS.shape)
        drawn[mask] = NAMES.index(shape["label"])
    np.testing.assert_array_equal(drawn, OBJECTS)


def test_yolo_outlines_are_the_regions_to_half_a_pixel() -> None:
    """Ultralytics rounds outlines to whole pixels and fills their border too (cv2.fillPoly)."""
    height, width = LABELS.shape
    exact, drawn = np.zeros_like(LABELS), np.zeros_like(LABELS)
    areas = []
    for line in yolo.outlines(scene_instances(), CLASSES).splitlines():
        number, *shares = line.split()
        points = np.array(shares, float).reshape(-1, 2)
        assert points.min() >= 0
        assert points.max() <= 1
        points = (points * [width, height]).round(3)
        exact[fill_polygons([points.ravel().tolist()], LABELS.shape)] = int(number) + 1
        cv2.fillPoly(drawn, [points.astype(np.int32)], int(number) + 1)
        x, y = points.T
        areas.append(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    np.testing.assert_array_equal(exact, OBJECTS)
    assert areas == sorted(areas, reverse=True)
    thin = cv2.dilate(np.uint8(cv2.Laplacian(OBJECTS, cv2.CV_64F) != 0), np.ones((3, 3)))
    np.testing.assert_array_equal(drawn[thin == 0], OBJECTS[thin == 0])


@pytest.mark.parametrize("masks", [None, "masks"])
def test_yaml_has_the_names_as_they_are(masks: str | None) -> None:
    content = yaml.safe_load(yolo.data_yaml(["no", 'sky: "blue"', "grün"], masks=masks))
    assert content["names"] == {0: "no", 1: 'sky: "blue"', 2: "grün"}
    assert (content["train"], content.get("masks_dir")) == ("images", masks)
