"""COCO's val2017: its images, its label maps, and the meaning of the ids in those maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lhtclip.datasets.dataset import Sample
from lhtclip.datasets.label_maps import ClassOfId, read_truth
from lhtclip.datasets.layout import files_by_name, not_found, pair
from lhtclip.errors import InputError

# The raw label maps ("stuffthingmaps") count from 0: COCO's category ids minus 1. Things have 0 to
# 90 and stuff 91 to 181; eleven ids belong to things that were never labelled.
_NEVER_LABELLED = frozenset((11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90))
THING_IDS = tuple(number for number in range(91) if number not in _NEVER_LABELLED)
STUFF_IDS = tuple(range(91, 182))
UNLABELLED = 255
RAW_IDS = "raw ids, 0 to 181 without the eleven that were never labelled, and 255"

PIXEL_MAPS = "val2017, stuffthingmaps/val2017"  # the layout of the raw maps

_PLACES = ("", "coco_stuff164k", "coco_object", "coco", "coco2017", "COCO")
_IMAGES = ("images/val2017", "val2017")
_LABELS = (
    "stuffthingmaps/val2017",
    "stuffthingmaps_trainval2017/val2017",
    "annotations/val2017",
    "annotations/stuffthingmaps/val2017",
    "val2017",
)


@dataclass(frozen=True, slots=True)
class PixelMaps:
    """One kind of label map.

    Attributes:
        suffix: The end of the file name, after the image's number.
        classes: The class of every id.
        expected: The ids, as the end of "expected ...".
    """

    suffix: str
    classes: ClassOfId
    expected: str


def places_below(root: Path) -> list[Path]:
    """Return the folders to look for COCO in."""
    return [root / place for place in _PLACES]


def coco_not_found(title: str, root: Path, kinds: Sequence[PixelMaps], *others: str) -> InputError:
    """Build the error for a root without images or without any kind of label maps."""
    suffixes = " or ".join(f"*{kind.suffix}" for kind in kinds)
    label_maps = f"{suffixes} in {', '.join(_LABELS)}"
    looked_for = f"*.jpg in {', '.join(_IMAGES)}, and {' or '.join((label_maps, *others))}"
    return not_found(title, root, _PLACES, looked_for)


def images_of(place: Path) -> dict[str, Path]:
    """Return the images by name; empty without a folder of images."""
    return _first(place, _IMAGES, ".jpg")


def samples_of(title: str, root: Path, kinds: Sequence[PixelMaps]) -> tuple[Sample, ...]:
    """Pair images with the first kind of label map found below `root`.

    Returns nothing if there are none.

    Raises:
        InputError: An image has no label map, or the reverse.
    """
    for kind in kinds:
        truth = partial(read_truth, classes=kind.classes, expected=kind.expected)
        for place in places_below(root):
            images, labels = images_of(place), _first(place, _LABELS, kind.suffix)
            if images and labels:
                pairs = pair(f"{title} in {place}", images, labels)
                return tuple(
                    Sample(name, image, partial(truth, path), labels=path)
                    for name, image, path in pairs
                )
    return ()


def _first(place: Path, folders: tuple[str, ...], suffix: str) -> dict[str, Path]:
    """Return the files of the first folder that has any, by their numbers."""
    return next((found for folder in folders if (found := _numbered(place / folder, suffix))), {})


def _numbered(folder: Path, suffix: str) -> dict[str, Path]:
    """Return files named by a number only, since other kinds of label maps may be in the folder."""
    found = files_by_name([folder], suffix)
    return {name: path for name, path in found.items() if name.isdigit()}
