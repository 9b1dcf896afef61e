"""What is known of the published sets before they are read, as data; bounds are wide on purpose.

Shares are of all pixels of a set. A bound is there to tell another labelling (a zero label taken
away twice or not at all, another order of the classes) from the real one, not to measure it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lhtclip.datasets.dataset import Dataset

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Expected:
    """A published set as it should be found.

    classes: How many there are, the background included where it is one.
    pictures: The count of the publications first, then other counts in circulation.
    layouts: Where its files are looked for below the root, one line for each layout.
    ignored: Least and largest share of pixels that do not count.
    background: Least and largest share of class 0, where that is the background.
    every_class: Whether each class occurs in the whole set.
    commonest: The class with the most pixels among `things`, counted from 0.
    things: First class that is compared, and the one after the last.
    """

    classes: int
    pictures: tuple[int, ...]
    layouts: tuple[str, ...]
    ignored: Bounds
    background: Bounds | None = None
    every_class: bool = True
    commonest: int | None = None
    things: tuple[int, int] = (0, 0)


_VOC = "VOCdevkit/VOC2012: JPEGImages, SegmentationClass, ImageSets/Segmentation/val.txt"
_CONTEXT = (
    "VOCdevkit/VOC2010: JPEGImages, SegmentationClassContext, "
    "ImageSets/SegmentationContext/val.txt",
    "VOCdevkit/VOC2010: JPEGImages, trainval/*.mat, labels.txt, ImageSets/Main/val.txt",
)
_PIXEL_MAPS = "val2017, stuffthingmaps/val2017"

EXPECTED: dict[str, Expected] = {
    "voc21": Expected(
        classes=21,
        pictures=(1449,),
        layouts=(_VOC,),
        ignored=(0.001, 0.3),  # the void seam round every object
        background=(0.4, 0.95),
        commonest=15,  # person
        things=(1, 21),
    ),
    "context60": Expected(
        classes=60,
        pictures=(5104, 5105),
        layouts=_CONTEXT,
        ignored=(0.0, 0.0),  # what is none of the 59 is background
        background=(0.001, 0.7),
    ),
    "coco_object": Expected(
        classes=81,
        pictures=(5000,),
        layouts=(
            _PIXEL_MAPS,
            "val2017, annotations/instances_val2017.json",
            "coco_object: images/val2017, annotations/val2017/*_instanceTrainIds.png",
        ),
        ignored=(0.0, 0.0),  # what is no object is background, unlabelled pixels too
        background=(0.3, 0.95),
        every_class=False,
        commonest=1,  # person
        things=(1, 81),
    ),
    "voc20": Expected(
        classes=20,
        pictures=(1449,),
        layouts=(_VOC,),
        ignored=(0.4, 0.97),  # background and void
        commonest=14,  # person
        things=(0, 20),
    ),
    "cityscapes": Expected(
        classes=19,
        pictures=(500,),
        layouts=(
            "cityscapes: leftImg8bit/val, gtFine/val/*/*_gtFine_labelIds.png",
            "cityscapes: leftImg8bit/val, gtFine/val/*/*_gtFine_labelTrainIds.png",
        ),
        ignored=(0.005, 0.4),  # the car's own bonnet and the picture's border in every map
        commonest=0,  # road
        things=(0, 19),
    ),
    "context59": Expected(
        classes=59,
        pictures=(5104, 5105),
        layouts=_CONTEXT,
        ignored=(0.001, 0.7),  # the background
    ),
    "ade20k": Expected(
        classes=150,
        pictures=(2000,),
        layouts=("ADEChallengeData2016: images/validation, annotations/validation",),
        ignored=(0.005, 0.4),  # label 0
        commonest=0,  # wall
        things=(0, 150),
    ),
    "coco_stuff171": Expected(
        classes=171,
        pictures=(5000,),
        layouts=(
            _PIXEL_MAPS,
            "coco_stuff164k: images/val2017, annotations/val2017/*_labelTrainIds.png",
        ),
        ignored=(0.0001, 0.4),  # what nobody labelled
        every_class=False,
        commonest=0,  # person
        things=(0, 80),
    ),
}

# Data sets of which nothing is known before they are read.
OWN_LAYOUTS = {
    "folder": "images, masks, classes.txt",
    "scenes": "scenes.json; without --root, the scenes that come with the package",
}


def expected_of(dataset: Dataset) -> Expected | None:
    """Return what is known of a published set; None for one's own, whatever its name."""
    return None if dataset.published is None else EXPECTED.get(dataset.name)
