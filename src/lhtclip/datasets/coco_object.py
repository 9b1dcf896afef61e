"""COCO-Object: COCO's 80 kinds of things; everything else is background, no pixel is ignored.

The published evaluations make it from COCO-Stuff's label maps, so these come first. Drawn from
`instances_val2017.json` it differs a little where things overlap, and along their outlines.
"""

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
from lhtclip.datasets.coco_instances import INSTANCES_FILES, samples_of_instances
from lhtclip.datasets.dataset import Dataset, DatasetSpec, published_names
from lhtclip.datasets.label_maps import as_they_are

_KINDS = (
    PixelMaps(
        ".png",
        dict.fromkeys((*STUFF_IDS, UNLABELLED), 0)
        | {number: index for index, number in enumerate(THING_IDS, start=1)},
        RAW_IDS,
    ),
    PixelMaps("_instanceTrainIds.png", as_they_are(81), "the train ids 0 to 80"),
)


def read_coco_object(root: Path) -> Dataset:
    """Read val2017 from the first of these that exists.

    1. The raw label maps of COCO-Stuff.
    2. `_instanceTrainIds.png`, which the usual tools make from them.
    3. `annotations/instances_val2017.json`.

    Raises:
        MissingDependencyError: The labels are outlines, and pycocotools is not installed.
        InputError: Folders are missing, an image has no labels or the reverse, or the JSON file
            cannot be used.
    """
    samples = samples_of("COCO-Object", root, _KINDS) or samples_of_instances(root)
    if not samples:
        raise coco_not_found("COCO-Object", root, _KINDS, *INSTANCES_FILES)
    names = published_names("coco_object", background=True)
    return Dataset("coco_object", names, samples, published=5000)


COCO_OBJECT = DatasetSpec(
    "coco_object",
    read_coco_object,
    (
        PIXEL_MAPS,
        "val2017, annotations/instances_val2017.json",
        "coco_object: images/val2017, annotations/val2017/*_instanceTrainIds.png",
    ),
    classes=81,
    images=(5000,),
    every_class=False,
)
