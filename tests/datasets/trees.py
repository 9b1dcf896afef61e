"""Tiny data sets laid out as their publishers ship them: two pictures each, written in an instant.

Every function fills `folder` and returns the root to hand to a reader. `maps` are the label maps by
the picture's name, ids as they stand in the published files; each default has an ignored pixel and
two classes or more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Ids = NDArray[Any] | Sequence[Sequence[int]]
Maps = Mapping[str, Ids]

VOC_MAPS: Maps = {
    "2007_000033": [[0, 0, 1, 1], [0, 255, 1, 1], [20, 20, 20, 255]],
    "2007_000042": [[19, 19, 0], [19, 255, 0]],
}
CONTEXT_MAPS: Maps = {
    "2008_000002": [[0, 1, 59, 59], [0, 1, 2, 2]],
    "2008_000003": [[20, 20, 0], [20, 33, 33], [33, 33, 33]],
}
CONTEXT_459_MAPS: Maps = {  # of the names below: the same classes as in CONTEXT_MAPS
    "2008_000002": [[1, 2, 61, 61], [62, 2, 4, 4]],
    "2008_000003": [[22, 22, 3], [22, 35, 35], [35, 35, 35]],
}
# The 59 classes and three of the 400 others; the release has 459 in all.
CONTEXT_459_TEXT = """
accordion aeroplane air_conditioner bag bed bedclothes bench bicycle bird boat book bottle
building bus cabinet car cat ceiling chair cloth computer cow cup curtain dog door fence floor
flower food grass ground horse keyboard light motorbike mountain mouse person plate platform
pottedplant road rock sheep shelves sidewalk sign sky snow sofa table track train tree truck
tvmonitor wall water window wood wool
"""
CONTEXT_459_LABELS = tuple(CONTEXT_459_TEXT.split())
COCO_MAPS: Maps = {  # raw ids of the pixel maps: 0-90 things, 91-181 stuff
    "000000000139": [[0, 0, 71, 71], [255, 0, 181, 181]],
    "000000000285": [[89, 123, 123], [89, 89, 255]],
}
COCO_STUFF_MAPS: Maps = {  # the usual toolbox's ids of the 171 classes
    "000000000139": [[0, 0, 62, 62], [255, 0, 170, 170]],
    "000000000285": [[79, 112, 112], [79, 79, 255]],
}
COCO_OBJECT_MAPS: Maps = {  # the usual toolbox's ids: 0 is the background
    "000000000139": [[1, 1, 63, 63], [0, 1, 0, 0]],
    "000000000285": [[80, 0, 0], [80, 80, 0]],
}
CITYSCAPES_MAPS: Maps = {  # labelIds: 7 road, 11 building, 23 sky, 24 person, 33 bicycle
    "frankfurt/frankfurt_000000_000294": [[7, 7, 11, 23], [24, 33, 0, 3]],
    "munster/munster_000000_000019": [[7, 7, 23], [29, 33, 4]],
}
CITYSCAPES_TRAIN_MAPS: Maps = {
    "frankfurt/frankfurt_000000_000294": [[0, 0, 2, 10], [11, 18, 255, 255]],
    "munster/munster_000000_000019": [[0, 0, 10], [255, 18, 255]],
}
ADE_MAPS: Maps = {
    "ADE_val_00000001": [[0, 1, 1, 150], [3, 3, 1, 150]],
    "ADE_val_00000002": [[13, 13, 0], [2, 2, 2]],
}
FOLDER_MAPS: Maps = {
    "harbour": [[0, 0, 1, 1], [255, 0, 2, 2]],
    "street": [[2, 2, 1], [2, 255, 1]],
}
FOLDER_CLASSES = ("background", "boat|ship", "water")


def voc_tree(folder: Path, maps: Maps = VOC_MAPS) -> Path:
    """VOCdevkit/VOC2012, with the sets and files that the archive has; root is `folder`."""
    voc = folder / "VOCdevkit" / "VOC2012"
    _pairs(maps, voc / "JPEGImages", voc / "SegmentationClass")
    write_list(voc / "ImageSets" / "Segmentation" / "val.txt", maps)
    return folder


def context_tree(folder: Path, maps: Maps = CONTEXT_MAPS) -> Path:
    """VOCdevkit/VOC2010 with the usual toolbox's PNG files of 60 ids; root is `folder`."""
    voc = folder / "VOCdevkit" / "VOC2010"
    _pairs(maps, voc / "JPEGImages", voc / "SegmentationClassContext")
    write_list(voc / "ImageSets" / "SegmentationContext" / "val.txt", maps)
    return folder


def context_mat_tree(
    folder: Path,
    maps: Maps = CONTEXT_459_MAPS,
    *,
    labels: Sequence[str] = CONTEXT_459_LABELS,
) -> Path:
    """VOCdevkit/VOC2010 with the original trainval/*.mat and labels.txt; root is `folder`."""
    import scipy.io

    voc = folder / "VOCdevkit" / "VOC2010"
    for name, ids in maps.items():
        array = np.asarray(ids, np.uint16)
        write_picture(voc / "JPEGImages" / f"{name}.jpg", array.shape)
        (voc / "trainval").mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(voc / "trainval" / f"{name}.mat", {"LabelMap": array})
    lines = [f"{n}: {label.replace('_', ' ')}" for n, label in enumerate(labels, start=1)]
    (voc / "labels.txt").write_text("\n".join(lines) + "\n")
    write_list(voc / "ImageSets" / "Main" / "val.txt", maps)
    return folder


def coco_raw_tree(folder: Path, maps: Maps = COCO_MAPS) -> Path:
    """val2017 beside stuffthingmaps/val2017, for COCO-Stuff and COCO-Object; root is `folder`."""
    _pairs(maps, folder / "val2017", folder / "stuffthingmaps" / "val2017")
    return folder


def coco_stuff_toolbox_tree(folder: Path, maps: Maps = COCO_STUFF_MAPS) -> Path:
    """coco_stuff164k with converted `_labelTrainIds.png`; root is `folder`."""
    return _toolbox_tree(folder, "coco_stuff164k", maps, "_labelTrainIds.png")


def coco_object_toolbox_tree(folder: Path, maps: Maps = COCO_OBJECT_MAPS) -> Path:
    """coco_object with converted `_instanceTrainIds.png`; root is `folder`."""
    return _toolbox_tree(folder, "coco_object", maps, "_instanceTrainIds.png")


def coco_json_tree(
    folder: Path,
    sizes: Mapping[str, tuple[int, int]],
    annotations: Iterable[Mapping[str, Any]],
) -> Path:
    """val2017 beside annotations/instances_val2017.json; root is `folder`.

    `sizes` are heights and widths by the picture's name. An annotation needs `image_id` (the name
    as a number), `category_id` and `segmentation`; `id` and `iscrowd` are filled in.
    """
    images: list[dict[str, Any]] = []
    for name, (height, width) in sizes.items():
        write_picture(folder / "val2017" / f"{name}.jpg", (height, width))
        images.append(
            {"id": int(name), "file_name": f"{name}.jpg", "height": height, "width": width}
        )
    content = {
        "images": images,
        "annotations": [
            {"id": number, "iscrowd": 0, **annotation}
            for number, annotation in enumerate(annotations, start=1)
        ],
        "categories": [],
    }
    path = folder / "annotations" / "instances_val2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return folder


def cityscapes_tree(
    folder: Path, maps: Maps = CITYSCAPES_MAPS, *, suffix: str = "_gtFine_labelIds.png"
) -> Path:
    """cityscapes/leftImg8bit/val and gtFine/val; `folder`/cityscapes is made, root is `folder`."""
    for name, ids in maps.items():
        array = np.asarray(ids, np.uint8)
        place = folder / "cityscapes"
        write_picture(place / "leftImg8bit" / "val" / f"{name}_leftImg8bit.png", array.shape)
        write_ids(place / "gtFine" / "val" / f"{name}{suffix}", array)
    return folder


def ade_tree(folder: Path, maps: Maps = ADE_MAPS) -> Path:
    """ADEChallengeData2016 with images and annotations for validation; root is `folder`."""
    ade = folder / "ADEChallengeData2016"
    _pairs(maps, ade / "images" / "validation", ade / "annotations" / "validation")
    return folder


def own_folder(
    folder: Path, maps: Maps = FOLDER_MAPS, *, classes: Sequence[str] = FOLDER_CLASSES
) -> Path:
    """images/, masks/ and classes.txt of a user; root is `folder`."""
    _pairs(maps, folder / "images", folder / "masks")
    (folder / "classes.txt").write_text("\n".join(classes) + "\n")
    return folder


TREES: dict[str, Callable[[Path], Path]] = {
    "voc21": voc_tree,
    "context60": context_tree,
    "coco_object": coco_raw_tree,
    "voc20": voc_tree,
    "cityscapes": cityscapes_tree,
    "context59": context_tree,
    "ade20k": ade_tree,
    "coco_stuff171": coco_raw_tree,
    "folder": own_folder,
}
"""One tree for each reader that needs a root, by the reader's name."""


def write_picture(path: Path, shape: tuple[int, ...]) -> None:
    """A colour picture (height, width) of levels that depend on its name only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(sum(path.stem.encode())).integers(0, 256, (*shape, 3))
    Image.fromarray(levels.astype(np.uint8)).save(path)


def write_ids(path: Path, ids: Ids) -> None:
    """A label map as an 8-bit palette PNG, or as a 16-bit one where ids go beyond 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(ids)
    picture = Image.fromarray(array.astype(np.uint16 if array.max() > 255 else np.uint8))
    if picture.mode == "L":
        picture.putpalette(bytes(range(256)) * 3)
    picture.save(path)


def write_list(path: Path, names: Iterable[str]) -> None:
    """A publisher's list of pictures, one name a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def _toolbox_tree(folder: Path, name: str, maps: Maps, suffix: str) -> Path:
    place = folder / name
    for stem, ids in maps.items():
        write_picture(place / "images" / "val2017" / f"{stem}.jpg", np.shape(ids))
        write_ids(place / "annotations" / "val2017" / f"{stem}{suffix}", ids)
    return folder


def _pairs(maps: Maps, images: Path, labels: Path) -> None:
    for name, ids in maps.items():
        write_picture(images / f"{name}.jpg", np.shape(ids))
        write_ids(labels / f"{name}.png", ids)
