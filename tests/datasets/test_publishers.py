"""The class of every pixel, by hand, from each publisher's ids."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lhtclip.datasets import Dataset, open_dataset
from lhtclip.datasets.cityscapes import CITYSCAPES_IDS
from lhtclip.errors import InputError, MissingDependencyError
from tests.datasets.trees import (
    CITYSCAPES_TRAIN_MAPS,
    CONTEXT_459_LABELS,
    CONTEXT_459_MAPS,
    ade_tree,
    cityscapes_tree,
    context_mat_tree,
    context_tree,
    voc_tree,
    write_list,
)


def truths(dataset: Dataset) -> list[list[list[int]]]:
    return [sample.truth().tolist() for sample in dataset.samples]


def test_voc(tmp_path: Path) -> None:
    root = voc_tree(tmp_path)
    assert truths(open_dataset("voc21", root)) == [
        [[0, 0, 1, 1], [0, 255, 1, 1], [20, 20, 20, 255]],
        [[19, 19, 0], [19, 255, 0]],
    ]
    assert truths(open_dataset("voc20", root)) == [
        [[255, 255, 0, 0], [255, 255, 0, 0], [19, 19, 19, 255]],
        [[18, 18, 255], [18, 255, 255]],
    ]


def test_voc_reads_what_is_listed(tmp_path: Path) -> None:
    root = voc_tree(tmp_path)
    voc = root / "VOCdevkit/VOC2012"
    write_list(voc / "ImageSets/Segmentation/val.txt", ["2007_000042"])
    (sample,) = open_dataset("voc21", root).samples
    assert sample.key == "2007_000042"
    assert sample.image == voc / "JPEGImages/2007_000042.jpg"


def test_ade(tmp_path: Path) -> None:
    dataset = open_dataset("ade20k", ade_tree(tmp_path))
    assert truths(dataset) == [
        [[255, 0, 0, 149], [2, 2, 0, 149]],
        [[12, 12, 255], [1, 1, 1]],
    ]
    assert (dataset.names[0], dataset.names[12], dataset.names[149]) == ("wall", "person", "flag")


CITYSCAPES = [[[0, 0, 2, 10], [11, 18, 255, 255]], [[0, 0, 10], [255, 18, 255]]]


@pytest.mark.parametrize(
    "tree",
    [
        cityscapes_tree,
        lambda folder: cityscapes_tree(
            folder, CITYSCAPES_TRAIN_MAPS, suffix="_gtFine_labelTrainIds.png"
        ),
    ],
    ids=["label ids", "train ids"],
)
def test_cityscapes(tmp_path: Path, tree: Callable[[Path], Path]) -> None:
    dataset = open_dataset("cityscapes", tree(tmp_path))
    assert [sample.key for sample in dataset.samples] == [
        "frankfurt_000000_000294",
        "munster_000000_000019",
    ]
    assert truths(dataset) == CITYSCAPES


def test_cityscapes_as_unpacked(tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path) / "cityscapes"
    for part in ("leftImg8bit", "gtFine"):
        archive = root / f"{part}_trainvaltest"
        archive.mkdir()
        (root / part).rename(archive / part)
    assert truths(open_dataset("cityscapes", root)) == CITYSCAPES


# The publisher's names of the ids 0 to 33, in capitals where they have a train id.
CITYSCAPES_TEXT = """
unlabeled ego_vehicle rectification_border out_of_roi static dynamic ground ROAD SIDEWALK parking
rail_track BUILDING WALL FENCE guard_rail bridge tunnel POLE polegroup TRAFFICLIGHT TRAFFICSIGN
VEGETATION TERRAIN SKY PERSON RIDER CAR TRUCK BUS caravan trailer TRAIN MOTORCYCLE BICYCLE
"""


def test_the_ids_of_cityscapes() -> None:
    every = CITYSCAPES_TEXT.split()
    assert len(every) == 34
    assert [number for number, name in enumerate(every) if name.isupper()] == list(CITYSCAPES_IDS)


CONTEXT60 = [[[0, 1, 59, 59], [0, 1, 2, 2]], [[20, 20, 0], [20, 33, 33], [33, 33, 33]]]
CONTEXT59 = [[[255, 0, 58, 58], [255, 0, 1, 1]], [[19, 19, 255], [19, 32, 32], [32, 32, 32]]]


@pytest.mark.parametrize("tree", [context_tree, context_mat_tree], ids=["png", "mat"])
def test_context(tmp_path: Path, tree: Callable[[Path], Path]) -> None:
    root = tree(tmp_path)
    sixty, fifty_nine = open_dataset("context60", root), open_dataset("context59", root)
    assert truths(sixty) == CONTEXT60
    assert truths(fifty_nine) == CONTEXT59
    assert sixty.names[33] == fifty_nine.names[32] == "light"
    # the toolbox leaves out one of the pictures that the release labels
    assert sixty.published == (5104 if tree is context_tree else 5105)


def test_names_decide_in_the_original_release(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(CONTEXT_459_LABELS))
    labels = [CONTEXT_459_LABELS[index] for index in order]
    new_id = {int(old) + 1: new for new, old in enumerate(order, start=1)} | {0: 0}
    maps = {
        name: [[new_id[number] for number in row] for row in np.asarray(ids).tolist()]
        for name, ids in CONTEXT_459_MAPS.items()
    }
    root = context_mat_tree(tmp_path, maps, labels=labels)
    assert truths(open_dataset("context60", root)) == CONTEXT60


def test_the_original_release_in_a_folder_of_its_own(tmp_path: Path) -> None:
    root = context_mat_tree(tmp_path)
    voc, release = root / "VOCdevkit/VOC2010", root / "pascal-context"
    release.mkdir()
    for part in ("trainval", "labels.txt"):
        (voc / part).rename(release / part)
    assert truths(open_dataset("context59", root)) == CONTEXT59


def test_lists_of_context(tmp_path: Path) -> None:
    root = context_mat_tree(tmp_path)
    voc = root / "VOCdevkit/VOC2010"
    write_list(voc / "ImageSets/SegmentationContext/val.txt", ["2008_000003"])
    dataset = open_dataset("context60", root)
    assert ([sample.key for sample in dataset.samples], dataset.published) == (
        ["2008_000003"],
        5104,
    )
    (voc / "ImageSets/SegmentationContext/val.txt").unlink()
    (voc / "ImageSets/Main/val.txt").unlink()
    with pytest.raises(InputError, match=r"validation list .* not found .*ImageSets/Main/val"):
        open_dataset("context60", root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Cannot read the names"),
        ("2: aeroplane\n", r"lacks bag, bed, .*459 names"),
        ("aeroplane\n", r"the line 'aeroplane'; expected lines such as '2: aeroplane'"),
        ("1:\n", "the line '1:'"),
    ],
)
def test_names_that_cannot_be_used(tmp_path: Path, content: str | None, message: str) -> None:
    root = context_mat_tree(tmp_path)
    path = root / "VOCdevkit/VOC2010/labels.txt"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_dataset("context59", root)


def test_neither_kind_of_context(tmp_path: Path) -> None:
    for part in ("JPEGImages", "ImageSets"):
        (tmp_path / "VOC2010" / part).mkdir(parents=True)
    message = r"looked for SegmentationClassContext/\*\.png, or for trainval/\*\.mat and labels"
    with pytest.raises(InputError, match=message):
        open_dataset("context59", tmp_path)


def test_mat_files_that_cannot_be_used(tmp_path: Path) -> None:
    import scipy.io

    sample = open_dataset("context60", context_mat_tree(tmp_path)).samples[0]
    path = tmp_path / "VOCdevkit/VOC2010/trainval/2008_000002.mat"
    for variables, message in (
        ({"LabelMap": np.array([[1, 99]], np.uint16)}, "ids that cannot occur: 99; expected the"),
        ({"LabelMap": np.array([[1.5]])}, "2 dimensions of float64"),
        ({"Labels": np.array([[1]], np.uint16)}, "Cannot read LabelMap from"),
    ):
        scipy.io.savemat(path, variables)
        with pytest.raises(InputError, match=message):
            sample.truth()
    path.write_bytes(b"no MATLAB file")
    with pytest.raises(InputError, match="Cannot read LabelMap from"):
        sample.truth()


def test_without_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = context_mat_tree(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lhtclip\[datasets\]'"):
        open_dataset("context60", root).samples[0].truth()
