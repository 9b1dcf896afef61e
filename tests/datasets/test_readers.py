"""What every reader owes: where it finds its folders, what it lists, how it refuses."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhtclip.datasets import DATASETS, SPECS, open_dataset
from lhtclip.errors import InputError, UnknownNameError
from lhtclip.text.vocabulary import shipped_classes
from tests.datasets.trees import (
    TREES,
    ade_tree,
    coco_object_toolbox_tree,
    coco_raw_tree,
    coco_stuff_toolbox_tree,
    context_mat_tree,
    voc_tree,
    write_ids,
)

CLASSES = {
    "voc21": 21,
    "context60": 60,
    "coco_object": 81,
    "voc20": 20,
    "cityscapes": 19,
    "context59": 59,
    "ade20k": 150,
    "coco_stuff171": 171,
}
PUBLISHED = {
    "voc21": 1449,
    "context60": 5104,
    "coco_object": 5000,
    "voc20": 1449,
    "cityscapes": 500,
    "context59": 5104,
    "ade20k": 2000,
    "coco_stuff171": 5000,
}
BACKGROUND = ("voc21", "context60", "coco_object")


def test_the_registry() -> None:
    assert tuple(CLASSES) == DATASETS  # the columns of the paper's tables, in their order
    assert list(SPECS) == [*DATASETS, "folder", "scenes"]


@pytest.mark.parametrize("name", TREES)
def test_what_a_reader_lists(tmp_path: Path, name: str) -> None:
    dataset = open_dataset(name, TREES[name](tmp_path))
    keys = [sample.key for sample in dataset.samples]
    assert len(keys) == 2
    assert keys == sorted(keys)
    assert not any("/" in key for key in keys)
    for sample in dataset.samples:
        truth = sample.truth()
        with Image.open(sample.image) as picture:
            assert truth.shape == picture.size[::-1]
        assert truth.dtype == np.uint8
        assert truth.max(where=truth != 255, initial=0) < len(dataset.names)
        assert sample.candidates is None
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(sample)).truth(), truth)


@pytest.mark.parametrize("name", DATASETS)
def test_names_and_counts(tmp_path: Path, name: str) -> None:
    dataset = open_dataset(name, TREES[name](tmp_path))
    assert dataset.name == name
    assert dataset.published == PUBLISHED[name]
    assert dataset.classes is None
    assert len(set(dataset.names)) == len(dataset.names) == CLASSES[name]
    first = 1 if name in BACKGROUND else 0
    assert dataset.names[first:] == tuple(words[0] for words in shipped_classes(name)[first:])
    assert (dataset.names[0] == "background") == (name in BACKGROUND)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("voc21", "VOCdevkit"),
        ("voc21", "VOCdevkit/VOC2012"),
        ("context60", "VOCdevkit"),
        ("context59", "VOCdevkit/VOC2010"),
        ("cityscapes", "cityscapes"),
        ("ade20k", "ADEChallengeData2016"),
    ],
)
def test_the_root_may_be_the_folder_itself(tmp_path: Path, name: str, folder: str) -> None:
    root = TREES[name](tmp_path)
    above, itself = open_dataset(name, root), open_dataset(name, root / folder)
    assert [sample.image for sample in above.samples] == [each.image for each in itself.samples]


def test_one_parent_for_all(tmp_path: Path) -> None:
    voc_tree(tmp_path)
    context_mat_tree(tmp_path)
    TREES["cityscapes"](tmp_path)
    ade_tree(tmp_path / "ade")
    coco_stuff_toolbox_tree(tmp_path)
    coco_object_toolbox_tree(tmp_path)
    for name in DATASETS:
        assert len(open_dataset(name, tmp_path).samples) == 2


@pytest.mark.parametrize("name", [*DATASETS, "folder"])
def test_what_was_looked_for(tmp_path: Path, name: str) -> None:
    looked_for = {
        "voc21": "JPEGImages, SegmentationClass and ImageSets/Segmentation/val.txt",
        "voc20": "VOCdevkit/VOC2012",
        "context60": "ImageSets and JPEGImages",
        "context59": "VOCdevkit/VOC2010",
        "coco_object": "annotations/instances_val2017.json",
        "coco_stuff171": "_labelTrainIds.png",
        "cityscapes": "leftImg8bit/val/*/*_leftImg8bit.png",
        "ade20k": "images/validation and annotations/validation",
        "folder": "images, masks and classes.txt",
    }
    with pytest.raises(
        InputError, match=rf"not found in {re.escape(str(tmp_path))}.*: looked for "
    ) as caught:
        open_dataset(name, tmp_path)
    assert looked_for[name] in str(caught.value)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("lost", ["image", "labels"])
def test_half_a_pair(tmp_path: Path, name: str, lost: str) -> None:
    root = TREES[name](tmp_path)
    sample = open_dataset(name, root).samples[1]
    pictures = {path for path in root.rglob(f"{sample.key}*") if path.is_file()}
    (labels,) = pictures - {sample.image}
    (sample.image if lost == "image" else labels).unlink()
    what = "picture" if lost == "image" else "label map"
    message = rf"incomplete: 1 of 2 lack the {what} \({re.escape(sample.key)}\)\."
    with pytest.raises(InputError, match=message):
        open_dataset(name, root)


def test_many_missing_files_are_counted(tmp_path: Path) -> None:
    root = voc_tree(tmp_path)
    with (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").open("a") as file:
        file.writelines(f"2011_{number:06d}\n" for number in range(9))
    message = (
        r"9 of 11 lack the picture \(2011_000000, 2011_000001, 2011_000002 and 6 more\) and 9 of"
    )
    with pytest.raises(InputError, match=message):
        open_dataset("voc21", root)


@pytest.mark.parametrize(
    ("content", "message"), [("\n", "names no image"), ("a\nb\na\n", "names a twice")]
)
def test_lists_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    root = voc_tree(tmp_path)
    (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text(content)
    with pytest.raises(InputError, match=message):
        open_dataset("voc20", root)


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("voc21", [21]),
        ("voc20", [0, 254]),
        ("context60", [60]),
        ("context59", [255]),  # reduced already
        ("cityscapes", [34]),
        ("cityscapes", [0, 18, 255]),  # train ids in place of label ids
        ("ade20k", [151]),
        ("ade20k", [0, 149, 255]),  # reduced already
        ("coco_stuff171", [11]),  # train ids in place of raw ones
        ("coco_stuff171", [182]),
        ("coco_object", [90]),
        ("folder", [3]),
    ],
)
def test_ids_that_cannot_be(tmp_path: Path, name: str, ids: list[int]) -> None:
    root = TREES[name](tmp_path)
    sample = open_dataset(name, root).samples[0]
    (labels,) = {path for path in root.rglob(f"{sample.key}*") if path.is_file()} - {sample.image}
    write_ids(labels, [ids])
    message = rf"{re.escape(str(labels))} has ids that cannot occur: {ids[-1]}; expected "
    with pytest.raises(InputError, match=message):
        sample.truth()


def test_raw_ids_in_the_place_of_train_ids(tmp_path: Path) -> None:
    stuff = open_dataset(
        "coco_stuff171", coco_stuff_toolbox_tree(tmp_path, {"000000000139": [[0, 181]]})
    )
    with pytest.raises(InputError, match="cannot occur: 181; expected the train ids 0 to 170"):
        stuff.samples[0].truth()
    objects = open_dataset(
        "coco_object", coco_object_toolbox_tree(tmp_path, {"000000000139": [[89, 123, 255]]})
    )
    with pytest.raises(InputError, match="cannot occur: 89, 123, 255; expected the train ids"):
        objects.samples[0].truth()


def test_hidden_files_do_not_count(tmp_path: Path) -> None:
    root = coco_raw_tree(tmp_path)
    (root / "val2017" / "._000000000139.jpg").write_bytes(b"")
    (root / "stuffthingmaps" / "val2017" / "._000000000139.png").write_bytes(b"")
    assert len(open_dataset("coco_stuff171", root).samples) == 2


def test_opening_without_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'voc21'"):
        open_dataset("voc12", tmp_path)
    with pytest.raises(InputError, match="needs its folder"):
        open_dataset("voc21")
    with pytest.raises(InputError, match="There is no folder"):
        open_dataset("voc21", tmp_path / "elsewhere")
