"""COCO-Stuff, 171 classes: 80 of things, then 91 of stuff, in the order of their ids."""

from __future__ import annotations

from pathlib import Path

from lhtclip.datasets.coco import (
    PIXEL_MAPS,
    RAW_IDS,
    STUFF_IDS,
    THING_IDS,
    UNLABELLED,
    PixelMaps,
    coco_not_found,
    samples_of,
)
from lhtclip.datasets.dataset import Dataset, DatasetSpec, published_names
from lhtclip.datasets.label_maps import as_they_are

COCO_STUFF_IDS = THING_IDS + STUFF_IDS  # of class 0, 1, ..., 170

_KINDS = (
    PixelMaps(
        ".png",
        {UNLABELLED: None} | {number: index for index, number in enumerate(COCO_STUFF_IDS)},
        RAW_IDS,
    ),
    PixelMaps(
        "_labelTrainIds.png",
        as_they_are(171, ignored=UNLABELLED),
        "the train ids 0 to 170, and 255",
    ),
)


def read_coco_stuff171(root: Path) -> Dataset:
    """Read val2017 from its raw label maps, or from the usual toolbox's `_labelTrainIds.png`.

    Raises:
        InputError: Folders are missing, or an image has no label map, or the reverse.
    """
    samples = samples_of("COCO-Stuff", root, _KINDS)
    if not samples:
        raise coco_not_found("COCO-Stuff", root, _KINDS)
    return Dataset("coco_stuff171", published_names("coco_stuff171"), samples, published=5000)


COCO_STUFF171 = DatasetSpec(
    "coco_stuff171",
    read_coco_stuff171,
    (PIXEL_MAPS, "coco_stuff164k: images/val2017, annotations/val2017/*_labelTrainIds.png"),
    classes=171,
    images=(5000,),
    every_class=False,
)
