from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lhtclip.datasets.scene_files import Scene, load_scenes, save_scenes
from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image

CLASSES = [[["cat"], ["grass", "lawn"]], [["sky"], ["cat", "kitten"], ["car"]]]
LABELS = [[[0, 1], [1, 255]], [[0, 0], [1, 0]]]


def picture(
    labels: list[list[int]], classes: list[list[str]]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[list[str]]]:
    array = np.array(labels, dtype=np.uint8)
    return np.repeat(array[..., None], 3, axis=2), array, classes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_scenes(tmp_path, [picture(*pair) for pair in zip(LABELS, CLASSES, strict=True)])
    return tmp_path


def test_what_is_saved_is_read(folder: Path) -> None:
    scenes = load_scenes(folder)
    assert [scene.name for scene in scenes] == ["scene-01", "scene-02"]
    assert scenes[1].classes == (("sky",), ("cat", "kitten"), ("car",))
    assert scenes[1].names == ("sky", "cat", "car")
    for scene, labels in zip(scenes, LABELS, strict=True):
        np.testing.assert_array_equal(scene.truth(), labels)
        assert read_image(scene.image).shape == (2, 2, 3)
    assert sorted(path.name for path in folder.iterdir()) == [
        "scene-01.labels.png",
        "scene-01.png",
        "scene-02.labels.png",
        "scene-02.png",
        "scenes.json",
    ]


def test_label_maps_have_a_palette(folder: Path) -> None:
    with Image.open(load_scenes(folder)[0].labels) as labels:
        assert labels.mode == "P"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Cannot read"),
        ("{", "not JSON"),
        ("[]", "cannot be used"),
        ('{"scenes": []}', "lists no scene"),
        ('{"scenes": [{"image": "a.png", "labels": "b.png"}]}', "cannot be used"),
        ('{"scenes": [{"image": "a", "labels": "b", "classes": []}]}', "1 to 255 classes"),
        ('{"scenes": [{"image": "a", "labels": "b", "classes": ["cat"]}]}', "a list of prompts"),
        ('{"scenes": [{"image": "a", "labels": "b", "classes": [["a"], ["a"]]}]}', "different"),
    ],
)
def test_lists_that_cannot_be_read(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "scenes.json").write_text(content)
    with pytest.raises(InputError, match=message):
        load_scenes(tmp_path)


@pytest.mark.parametrize(
    ("image", "labels", "message"),
    [
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8), "needs uint8 arrays"),
        (np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8), "needs uint8 arrays"),
        (np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 7, np.uint8), "label 7 but only 1"),
    ],
)
def test_pictures_that_cannot_be_saved(
    tmp_path: Path, image: Any, labels: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        save_scenes(tmp_path / "out", [(image, labels, [["cat"]])])
    assert not (tmp_path / "out").exists()


def test_label_maps_that_do_not_fit(folder: Path) -> None:
    scene = load_scenes(folder)[0]
    with pytest.raises(InputError, match="of 1 classes"):
        Scene(scene.image, scene.labels, (("cat",),)).truth()


def test_other_tools_may_write_the_list(tmp_path: Path, folder: Path) -> None:
    content = json.loads((folder / "scenes.json").read_text())
    assert content["scenes"][0] == {
        "image": "scene-01.png",
        "labels": "scene-01.labels.png",
        "classes": [["cat"], ["grass", "lawn"]],
    }
