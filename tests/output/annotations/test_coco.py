"""COCO files as the COCO API and panopticapi read them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from lhtclip.output.annotations import coco, panoptic
from lhtclip.regions.instances import Shape
from tests.output.annotations.scene import CLASSES, LABELS, NAMES, SCORES, scene_instances

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def read(path: Path, shape: Shape) -> COCO:
    regions = coco.describe(scene_instances(), CLASSES, shape=shape)
    images = [("a/ünö.jpg", 70, 45, regions), ("b.jpg", 70, 45, [])]
    pieces = coco.document(images, CLASSES, description="test")
    path.write_bytes(b"".join(pieces))
    return COCO(path)


@pytest.mark.parametrize("shape", ["mask", "polygon"])
def test_the_coco_api_draws_the_labels(tmp_path: Path, shape: Shape) -> None:
    data = read(tmp_path / "instances.json", shape)
    drawn = np.zeros_like(LABELS)
    for annotation in data.loadAnns(data.getAnnIds(imgIds=[1])):
        mask = data.annToMask(annotation).astype(bool)
        assert not drawn[mask].any()
        drawn[mask] = annotation["category_id"]
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation["bbox"]
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
        assert annotation["area"] == mask.sum()
        assert annotation["score"] == pytest.approx(SCORES[mask].mean(), abs=1e-3)
    np.testing.assert_array_equal(drawn, np.where(LABELS == 255, 0, LABELS))
    assert [each["name"] for each in data.loadCats(data.getCatIds())] == list(NAMES[1:])
    assert data.loadImgs([1])[0]["file_name"] == "a/ünö.jpg"
    assert data.getAnnIds(imgIds=[2]) == []


def test_annotations_are_results_too(tmp_path: Path) -> None:
    data = read(tmp_path / "instances.json", "mask")
    results = [
        {"image_id": 1} | json.loads(each) for each in coco.describe(scene_instances(), CLASSES)
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    assert len(data.loadRes(str(path)).getAnnIds()) == len(scene_instances())


def test_panoptic_segments_are_the_classes() -> None:
    picture = Image.open(io.BytesIO(panoptic.segment_ids(LABELS, len(NAMES))))
    red, green, blue = np.asarray(picture).astype(int).transpose(2, 0, 1)
    ids = red + 256 * green + 65536 * blue  # panopticapi.utils.rgb2id
    np.testing.assert_array_equal(ids, np.where(LABELS == 255, 0, LABELS.astype(int) + 1))
    segments = panoptic.segments(LABELS, len(NAMES))
    assert {each["id"]: each["area"] for each in segments} == {
        index + 1: int(np.sum(index == LABELS)) for index in range(len(NAMES))
    }
    categories = {each["id"]: each["name"] for each in panoptic.categories(CLASSES)}
    assert categories == dict(enumerate(NAMES, start=1))


def test_panoptic_ids_go_beyond_a_byte() -> None:
    labels = np.array([[0, 299, 65535]], np.uint16)
    picture = Image.open(io.BytesIO(panoptic.segment_ids(labels, 300)))
    assert np.asarray(picture).tolist() == [[[1, 0, 0], [44, 1, 0], [0, 0, 0]]]
