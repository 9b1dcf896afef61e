from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lhtclip.datasets import Dataset, open_dataset
from lhtclip.datasets.coco import THING_IDS
from lhtclip.datasets.coco_stuff import COCO_STUFF_IDS
from lhtclip.errors import InputError
from lhtclip.text.vocabulary import shipped_classes
from tests.datasets.trees import (
    coco_json_tree,
    coco_object_toolbox_tree,
    coco_raw_tree,
    coco_stuff_toolbox_tree,
)

# The publisher's names of the raw ids 0 to 181; those in capitals were never labelled.
RAW_TEXT = """
person bicycle car motorcycle airplane bus train truck boat trafficlight firehydrant STREETSIGN
stopsign parkingmeter bench bird cat dog horse sheep cow elephant bear zebra giraffe HAT backpack
umbrella SHOE EYEGLASSES handbag tie suitcase frisbee skis snowboard sportsball kite baseballbat
baseballglove skateboard surfboard tennisracket bottle PLATE wineglass cup fork knife spoon bowl
banana apple sandwich orange broccoli carrot hotdog pizza donut cake chair couch pottedplant bed
MIRROR diningtable WINDOW DESK toilet DOOR tv laptop mouse remote keyboard cellphone microwave
oven toaster sink refrigerator BLENDER book clock vase scissors teddybear hairdrier toothbrush
HAIRBRUSH banner blanket branch bridge building-other bush cabinet cage cardboard carpet
ceiling-other ceiling-tile cloth clothes clouds counter cupboard curtain desk-stuff dirt
door-stuff fence floor-marble floor-other floor-stone floor-tile floor-wood flower fog food-other
fruit furniture-other grass gravel ground-other hill house leaves light mat metal mirror-stuff
moss mountain mud napkin net paper pavement pillow plant-other plastic platform playingfield
railing railroad river road rock roof rug salad sand sea shelf sky-other skyscraper snow
solid-other stairs stone straw structural-other table tent textile-other towel tree vegetable
wall-brick wall-concrete wall-other wall-panel wall-stone wall-tile wall-wood water-other
waterdrops window-blind window-other wood
"""
RAW_NAMES = RAW_TEXT.split()

STUFF = [[[0, 0, 62, 62], [255, 0, 170, 170]], [[79, 112, 112], [79, 79, 255]]]
OBJECTS = [[[1, 1, 63, 63], [0, 1, 0, 0]], [[80, 0, 0], [80, 80, 0]]]


def truths(dataset: Dataset) -> list[list[list[int]]]:
    return [sample.truth().tolist() for sample in dataset.samples]


def test_the_order_of_the_171() -> None:
    assert len(RAW_NAMES) == 182
    labelled = [number for number, name in enumerate(RAW_NAMES) if not name.isupper()]
    assert list(COCO_STUFF_IDS) == labelled
    by_id = [RAW_NAMES[number] for number in COCO_STUFF_IDS]
    assert by_id == [words[0].replace(" ", "") for words in shipped_classes("coco_stuff171")]


def test_the_order_of_the_80() -> None:
    by_id = [RAW_NAMES[number] for number in THING_IDS]
    names = [words[0].replace(" ", "") for words in shipped_classes("coco_object")]
    assert by_id == names[1:]


@pytest.mark.parametrize("tree", [coco_raw_tree, coco_stuff_toolbox_tree], ids=["raw", "toolbox"])
def test_coco_stuff(tmp_path: Path, tree: Callable[[Path], Path]) -> None:
    dataset = open_dataset("coco_stuff171", tree(tmp_path))
    assert truths(dataset) == STUFF
    assert dataset.names[62].startswith("tv")


@pytest.mark.parametrize("tree", [coco_raw_tree, coco_object_toolbox_tree], ids=["raw", "toolbox"])
def test_coco_object(tmp_path: Path, tree: Callable[[Path], Path]) -> None:
    assert truths(open_dataset("coco_object", tree(tmp_path))) == OBJECTS


def test_every_raw_id(tmp_path: Path) -> None:
    every = [*COCO_STUFF_IDS, 255]
    root = coco_raw_tree(tmp_path, {"000000000139": [every]})
    assert truths(open_dataset("coco_stuff171", root)) == [[[*range(171), 255]]]
    assert truths(open_dataset("coco_object", root)) == [[[*range(1, 81), *[0] * 92]]]


def test_three_kinds_of_maps_in_one_folder(tmp_path: Path) -> None:
    root = coco_object_toolbox_tree(coco_stuff_toolbox_tree(tmp_path))
    maps = root / "coco_stuff164k" / "annotations" / "val2017"
    for path in (root / "coco_object/annotations/val2017").iterdir():
        path.rename(maps / path.name)
    raw = coco_raw_tree(tmp_path / "elsewhere") / "stuffthingmaps" / "val2017"
    for path in raw.iterdir():
        path.rename(maps / path.name)
    assert truths(open_dataset("coco_stuff171", root / "coco_stuff164k")) == STUFF
    assert truths(open_dataset("coco_object", root)) == OBJECTS


def test_maps_unpacked_beside_the_pictures(tmp_path: Path) -> None:
    root = coco_raw_tree(tmp_path)
    for path in (root / "stuffthingmaps" / "val2017").iterdir():
        path.rename(root / "val2017" / path.name)
    assert truths(open_dataset("coco_stuff171", root)) == STUFF


SIZE = (6, 8)
TABLE, CUP = 61, 42  # classes of the categories 67 and 47


def rectangle(left: int, top: int, right: int, bottom: int) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def annotation(category: int, outline: Any, **others: Any) -> Mapping[str, Any]:
    return {"image_id": 285, "category_id": category, "segmentation": outline, **others}


def from_json(folder: Path, *annotations: Mapping[str, Any]) -> Dataset:
    return open_dataset("coco_object", coco_json_tree(folder, {"000000000285": SIZE}, annotations))


@pytest.mark.parametrize("table_first", [True, False])
def test_the_smaller_is_on_top(tmp_path: Path, table_first: bool) -> None:
    pair = [
        annotation(67, [rectangle(0, 2, 8, 6)]),
        annotation(47, [rectangle(2, 1, 4, 4), rectangle(6, 0, 7, 1)]),
    ]
    dataset = from_json(tmp_path, *(pair if table_first else pair[::-1]))
    expected = np.zeros(SIZE, int)
    expected[2:] = TABLE
    expected[1:4, 2:4] = CUP
    expected[0, 6] = CUP
    assert truths(dataset) == [expected.tolist()]


def test_crowds_lie_below_and_count(tmp_path: Path) -> None:
    crowd = {"size": list(SIZE), "counts": [0, 6, 42]}  # the first column
    dataset = from_json(
        tmp_path,
        annotation(67, [rectangle(0, 2, 8, 6)]),
        annotation(1, crowd, iscrowd=1),
    )
    expected = np.zeros(SIZE, int)
    expected[:, 0] = 1
    expected[2:] = TABLE
    assert truths(dataset) == [expected.tolist()]


def test_a_picture_without_things(tmp_path: Path) -> None:
    dataset = from_json(tmp_path)
    assert truths(dataset) == [np.zeros(SIZE, int).tolist()]
    assert dataset.samples[0].image.name == "000000000285.jpg"
    assert dataset.published == 5000


def test_maps_come_before_instances(tmp_path: Path) -> None:
    root = coco_raw_tree(tmp_path)
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text("{}")
    assert truths(open_dataset("coco_object", root)) == OBJECTS


def test_pictures_and_instances_must_match(tmp_path: Path) -> None:
    root = coco_json_tree(tmp_path, {"000000000001": SIZE, "000000000002": SIZE}, [])
    extra = root / "val2017" / "000000000003.jpg"
    (root / "val2017" / "000000000001.jpg").rename(extra)
    message = r"1 of 3 lack the picture \(0+1\) and 1 of 3 lack the label map \(0+3\)"
    with pytest.raises(InputError, match=message):
        open_dataset("coco_object", root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a file of COCO's instances"),
        ("[]", "not a file of COCO's instances"),
        ('{"images": []}', "KeyError"),
        ({"category_id": 91}, "category 91 is not one of COCO's 80"),
        ({"category_id": 12}, "category 12 is not one of COCO's 80"),
    ],
)
def test_files_of_instances_that_cannot_be_read(
    tmp_path: Path, content: str | dict[str, int], message: str
) -> None:
    from_json(tmp_path)
    path = tmp_path / "annotations" / "instances_val2017.json"
    if isinstance(content, dict):
        entry = annotation(1, []) | {"id": 1} | content
        content = json.dumps(json.loads(path.read_text()) | {"annotations": [entry]})
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_dataset("coco_object", tmp_path)


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ([[0, 0, 5, 5]], "A polygon has 4 numbers"),
        ({"size": [8, 6], "counts": [48]}, r"for an image of \[8, 6\], not of \[6, 8\]"),
        ({"size": [6, 8], "counts": [47]}, "cover 47 pixels of an image of 6 x 8"),
        ({"size": [6, 8]}, "counts"),
    ],
)
def test_outlines_that_cannot_be_drawn(tmp_path: Path, outline: Any, message: str) -> None:
    dataset = from_json(tmp_path, annotation(1, outline))
    with pytest.raises(InputError, match=rf"Annotation 1 of .*instances_val2017.json .*{message}"):
        dataset.samples[0].truth()
