"""PASCAL VOC 2012: 20 kinds of objects, with the background as a class of its own or ignored."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lhtclip.datasets.dataset import Dataset, DatasetSpec, Sample, published_names
from lhtclip.datasets.label_maps import ClassOfId, as_they_are, read_truth, zero_ignored
from lhtclip.datasets.layout import files_by_name, locate, pair, read_list

_PLACES = ("", "VOC2012", "VOCdevkit/VOC2012")
_IMAGES, _LABELS, _LIST = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt"
_COUNT = 1449
_EXPECTED = "VOC's 0 to 20, and 255 along the outlines"


def read_voc21(root: Path) -> Dataset:
    """Read the validation set with its background as class 0.

    Raises:
        InputError: Folders or files are missing.
    """
    names = published_names("voc21", background=True)
    return Dataset("voc21", names, _samples(root, as_they_are(21, ignored=255)), published=_COUNT)


def read_voc20(root: Path) -> Dataset:
    """Read the validation set without its background: id 0 is ignored, the others move down by 1.

    Raises:
        InputError: Folders or files are missing.
    """
    names = published_names("voc20")
    return Dataset("voc20", names, _samples(root, zero_ignored(20, ignored=255)), published=_COUNT)


def _samples(root: Path, classes: ClassOfId) -> tuple[Sample, ...]:
    voc = locate("PASCAL VOC 2012", root, _PLACES, (_IMAGES, _LABELS, _LIST))
    pairs = pair(
        f"PASCAL VOC 2012 in {voc}",
        files_by_name([voc / _IMAGES], ".jpg"),
        files_by_name([voc / _LABELS], ".png"),
        names=read_list(voc / _LIST),
    )
    truth = partial(read_truth, classes=classes, expected=_EXPECTED)
    return tuple(
        Sample(name, image, partial(truth, labels), labels=labels) for name, image, labels in pairs
    )


_LAYOUTS = ("VOCdevkit/VOC2012: JPEGImages, SegmentationClass, ImageSets/Segmentation/val.txt",)

VOC21 = DatasetSpec("voc21", read_voc21, _LAYOUTS, classes=21, images=(_COUNT,))
VOC20 = DatasetSpec("voc20", read_voc20, _LAYOUTS, classes=20, images=(_COUNT,))
