"""Data that is nobody's publication: a folder of one's own, and the rendered scenes."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhtclip.datasets import open_dataset
from lhtclip.datasets.scene_files import bundled_scenes, save_scenes
from lhtclip.errors import InputError
from tests.datasets.trees import own_folder, write_ids, write_picture


def test_a_folder(tmp_path: Path) -> None:
    dataset = open_dataset("folder", own_folder(tmp_path / "harbours"))
    assert dataset.name == "harbours"
    assert dataset.names == ("background", "boat", "water")
    assert dataset.classes == (("background",), ("boat", "ship"), ("water",))
    assert dataset.published is None
    assert [sample.key for sample in dataset.samples] == ["harbour", "street"]
    assert dataset.samples[0].truth().tolist() == [[0, 0, 1, 1], [255, 0, 2, 2]]


def test_pictures_of_any_format(tmp_path: Path) -> None:
    root = own_folder(tmp_path)
    with Image.open(root / "images" / "street.jpg") as picture:
        picture.save(root / "images" / "street.WEBP")
    with pytest.raises(InputError, match=r"street\.\w+ and .*street\.\w+ have the same name"):
        open_dataset("folder", root)
    (root / "images" / "street.jpg").unlink()
    (root / "images" / "notes.txt").write_text("no picture")
    assert [each.image.name for each in open_dataset("folder", root).samples] == [
        "harbour.jpg",
        "street.WEBP",
    ]


def test_suffixes_in_any_case_and_what_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = own_folder(tmp_path)
    for path in sorted(root.glob("*s/street.*")):
        path.rename(path.with_suffix(path.suffix.upper()))
    for name in ("images/._street.jpg", "masks/._street.png", "images/other.jxl"):
        (root / name).touch()
    dataset = open_dataset("folder", root)
    assert [sample.key for sample in dataset.samples] == ["harbour", "street"]
    assert "images: skipped 1 .jxl (not read)." in caplog.text


@pytest.mark.parametrize(("classes", "ignored"), [(255, 255), (256, 65535), (400, 65535)])
def test_more_classes_than_a_byte_holds(tmp_path: Path, classes: int, ignored: int) -> None:
    names = [f"class {number}" for number in range(classes)]
    root = own_folder(tmp_path, {"a": [[0, classes - 1, ignored]]}, classes=names)
    truth = open_dataset("folder", root).samples[0].truth()
    assert truth.tolist() == [[0, classes - 1, 255 if classes <= 255 else 65535]]


def test_255_is_a_class_where_there_are_more(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(256)]
    root = own_folder(tmp_path, {"a": [[0, 255]]}, classes=names)
    assert open_dataset("folder", root).samples[0].truth().tolist() == [[0, 255]]


def test_masks_of_0_and_255_would_be_ignored(tmp_path: Path) -> None:
    masks = {"a": [[0, 255]], "b": [[0, 0]], "c": [[255, 255]]}
    with pytest.raises(InputError, match=r"no values but 0 and 255.*Write 1"):
        open_dataset("folder", own_folder(tmp_path / "binary", masks, classes=["wall", "dog"]))
    sound = masks | {"d": [[1, 255]]}
    open_dataset("folder", own_folder(tmp_path / "sound", sound, classes=["wall", "dog"]))
    open_dataset("folder", own_folder(tmp_path / "one", masks, classes=["wall"]))


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no images"):
        open_dataset("folder", _empty(own_folder(tmp_path)))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["boat", "Boat", "water"], "given twice"),
        (["boat, water"], "Comma in line 1"),
        (["# only a comment"], "has no class"),
        ([f"class {number}" for number in range(65536)], "at most 65535"),
    ],
)
def test_classes_that_cannot_be_used(tmp_path: Path, classes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset("folder", own_folder(tmp_path, classes=classes))


def test_the_bundled_scenes() -> None:
    dataset, scenes = open_dataset("scenes"), bundled_scenes()
    assert [sample.key for sample in dataset.samples] == [scene.name for scene in scenes]
    assert len(dataset.names) == len(set(dataset.names))
    assert dataset.classes is not None
    for sample, scene in zip(dataset.samples, scenes, strict=True):
        assert sample.candidates is not None
        assert [dataset.names[index] for index in sample.candidates] == list(scene.names)
        assert [dataset.classes[index] for index in sample.candidates] == list(scene.classes)
        truth, labels = sample.truth(), scene.truth()
        names = np.array([*scene.names, *[""] * (255 - len(scene.names)), "ignored"])
        union = np.array([*dataset.names, *[""] * (255 - len(dataset.names)), "ignored"])
        np.testing.assert_array_equal(union[truth], names[labels])
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(dataset.samples[0])).truth(), truth_of(0)
    )


def truth_of(number: int) -> np.ndarray:
    return open_dataset("scenes").samples[number].truth()


def test_scenes_of_a_folder(tmp_path: Path) -> None:
    pictures = [
        ([[0, 1], [1, 255]], [["cat"], ["grass", "lawn"]]),
        ([[0, 0], [1, 2]], [["sky"], ["cat", "kitten"], ["grass"]]),
    ]
    save_scenes(
        tmp_path,
        [
            (np.zeros((2, 2, 3), np.uint8), np.array(labels, np.uint8), classes)
            for labels, classes in pictures
        ],
    )
    dataset = open_dataset("scenes", tmp_path)
    assert dataset.names == ("cat", "grass", "sky")
    assert dataset.classes == (("cat", "kitten"), ("grass", "lawn"), ("sky",))
    assert [sample.candidates for sample in dataset.samples] == [(0, 1), (2, 0, 1)]
    assert [sample.truth().tolist() for sample in dataset.samples] == [
        [[0, 1], [1, 255]],
        [[2, 2], [0, 1]],
    ]
    assert dataset.published is None


def test_scenes_of_the_same_name(tmp_path: Path) -> None:
    save_scenes(tmp_path, [(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), [["cat"]])])
    path = tmp_path / "scenes.json"
    entry = '{"image": "scene-01.png", "labels": "scene-01.labels.png", "classes": [["cat"]]}'
    path.write_text(f'{{"scenes": [{entry}, {entry}]}}')
    with pytest.raises(InputError, match="have an image called scene-01"):
        open_dataset("scenes", tmp_path)


def _empty(root: Path) -> Path:
    for folder in ("images", "masks"):
        shutil.rmtree(root / folder)
        (root / folder).mkdir()
    return root


def test_a_mask_without_a_class(tmp_path: Path) -> None:
    root = own_folder(tmp_path)
    write_picture(root / "images" / "new.png", (1, 2))
    write_ids(root / "masks" / "new.png", [[0, 3]])
    message = r"new\.png has ids .* 3; expected the indices 0 to 2 of classes\.txt, and 255"
    with pytest.raises(InputError, match=message):
        open_dataset("folder", root).samples[1].truth()
