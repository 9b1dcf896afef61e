"""COCO's val2017: its pictures, its pixel maps, and what the ids in those maps stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lhtclip.datasets.dataset import Sample
from lhtclip.datasets.label_maps import ClassOfId, read_truth
from lhtclip.datasets.layout import files_by_name, not_found, pair
from lhtclip.errors import InputError

# The raw pixel maps ("stuffthingmaps") count from 0: COCO's category ids minus 1. Things have 0 to
# 90 and stuff 91 to 181; eleven ids were given to things that nobody ever labelled.
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
        suffix: What follows the image's number in the file name.
        classes: The class of every id.
        expected: What the ids are, as the end of "expected are ...".
    """

    suffix: str
    classes: ClassOfId
    expected: str


def places_below(root: Path) -> list[Path]:
    """Return the folders in which COCO is looked for."""
    return [root / place for place in _PLACES]


def coco_not_found(title: str, root: Path, kinds: Sequence[PixelMaps], *others: str) -> InputError:
    """Build the error for a root without pictures, or with none of the kinds of label maps."""
    suffixes = " or ".join(f"*{kind.suffix}" for kind in kinds)
    label_maps = f"{suffixes} in {', '.join(_LABELS)}"
    looked_for = f"*.jpg in {', '.join(_IMAGES)}, and {' or '.join((label_maps, *others))}"
    return not_found(title, root, _PLACES, looked_for)


def images_of(place: Path) -> dict[str, Path]:
    """Return the pictures by name; none where there is no folder of them."""
    return _first(place, _IMAGES, ".jpg")


def samples_of(title: str, root: Path, kinds: Sequence[PixelMaps]) -> tuple[Sample, ...]:
    """Pair pictures with the first kind of label map that some place below `root` has.

    Returns nothing where none has any.

    Raises:
        InputError: A picture lacks its label map or the reverse.
    """
    for kind in kinds:
        truth = partial(read_truth, classes=kind.classes, expected=kind.expected)
        for place in places_below(root):
            images, labels = images_of(place), _first(place, _LABELS, kind.suffix)
            if images and labels:
                pairs = pair(f"{title} in {place}", images, labels)
                return tuple(
                    Sample(name, image, partial(truth, path)) for name, image, path in pairs
                )
    return ()


def _first(place: Path, folders: tuple[str, ...], suffix: str) -> dict[str, Path]:
    """Return the files of the first folder that has any, by their numbers."""
    return next((found for folder in folders if (found := _numbered(place / folder, suffix))), {})


def _numbered(folder: Path, suffix: str) -> dict[str, Path]:
    """Return files named by a number only: other kinds of label maps may lie beside them."""
    found = files_by_name([folder], suffix)
    return {name: path for name, path in found.items() if name.isdigit()}
