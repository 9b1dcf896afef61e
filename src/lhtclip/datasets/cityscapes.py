"""Cityscapes: the 19 classes that are scored, from the publisher's 34 ids or from train ids."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lhtclip.datasets.dataset import Dataset, DatasetSpec, Sample, published_names
from lhtclip.datasets.label_maps import as_they_are, read_truth
from lhtclip.datasets.layout import files_by_name, not_found, pair

# Ids of road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation,
# terrain, sky, person, rider, car, truck, bus, train, motorcycle and bicycle; 0 to 33 in all.
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

_PLACES = ("", "cityscapes", "Cityscapes")
_IMAGES = ("leftImg8bit/val", "leftImg8bit_trainvaltest/leftImg8bit/val")
_LABELS = ("gtFine/val", "gtFine_trainvaltest/gtFine/val")
_IMAGE_SUFFIX = "_leftImg8bit.png"

_BY_ID: dict[int, int | None] = {
    **dict.fromkeys(range(34)),
    **{number: index for index, number in enumerate(CITYSCAPES_IDS)},
}
# The end of a label map's name, the class of each id in it, and a description of the ids.
_KINDS = (
    ("_gtFine_labelIds.png", _BY_ID, "the label ids 0 to 33"),
    ("_gtFine_labelTrainIds.png", as_they_are(19, ignored=255), "the train ids 0 to 18, and 255"),
)


def read_cityscapes(root: Path) -> Dataset:
    """Read the validation set; ids without a scored class are ignored.

    The publisher's `_labelIds.png` are read if they exist, `_labelTrainIds.png` otherwise.

    Raises:
        InputError: Folders are missing, or an image has no label map, or the reverse.
    """
    for place in _PLACES:
        images = files_by_name(_cities(root / place, _IMAGES), _IMAGE_SUFFIX)
        for suffix, classes, expected in _KINDS:
            labels = files_by_name(_cities(root / place, _LABELS), suffix)
            if images and labels:
                truth = partial(read_truth, classes=classes, expected=expected)
                samples = tuple(
                    Sample(name, image, partial(truth, path), labels=path)
                    for name, image, path in pair(f"Cityscapes in {root / place}", images, labels)
                )
                names = published_names("cityscapes")
                return Dataset("cityscapes", names, samples, published=500)
    label_maps = " or ".join(f"{_LABELS[0]}/*/*{suffix}" for suffix, _, _ in _KINDS)
    looked_for = f"{_IMAGES[0]}/*/*{_IMAGE_SUFFIX} and {label_maps}"
    raise not_found("Cityscapes", root, _PLACES, looked_for)


def _cities(place: Path, splits: tuple[str, ...]) -> list[Path]:
    """Return the folders of the cities, of the first split that exists."""
    folder = next((place / split for split in splits if (place / split).is_dir()), None)
    return sorted(folder.iterdir()) if folder else []


CITYSCAPES = DatasetSpec(
    "cityscapes",
    read_cityscapes,
    tuple(f"cityscapes: {_IMAGES[0]}, {_LABELS[0]}/*/*{suffix}" for suffix, _, _ in _KINDS),
    classes=19,
    images=(500,),
)
