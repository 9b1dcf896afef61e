"""ADE20K, the 150 classes of the scene parsing challenge of 2016; unlabelled pixels are ignored."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lhtclip.datasets.dataset import Dataset, DatasetSpec, Sample, published_names
from lhtclip.datasets.label_maps import read_truth, zero_ignored
from lhtclip.datasets.layout import files_by_name, locate, pair

_FOLDER = "ADEChallengeData2016"
_PLACES = ("", _FOLDER, f"ade/{_FOLDER}", f"ade20k/{_FOLDER}")
_IMAGES, _LABELS = "images/validation", "annotations/validation"
_EXPECTED = "0 to 150, where 0 is unlabelled and nothing has been subtracted yet"


def read_ade20k(root: Path) -> Dataset:
    """Read the validation set: id 0 is ignored, the others move down by 1.

    Raises:
        InputError: Folders are missing, or an image has no label map, or the reverse.
    """
    ade = locate("ADE20K", root, _PLACES, (_IMAGES, _LABELS))
    pairs = pair(
        f"ADE20K in {ade}",
        files_by_name([ade / _IMAGES], ".jpg"),
        files_by_name([ade / _LABELS], ".png"),
    )
    truth = partial(read_truth, classes=zero_ignored(150), expected=_EXPECTED)
    samples = tuple(
        Sample(name, image, partial(truth, labels), labels=labels) for name, image, labels in pairs
    )
    return Dataset("ade20k", published_names("ade20k"), samples, published=2000)


ADE20K = DatasetSpec(
    "ade20k",
    read_ade20k,
    ("ADEChallengeData2016: images/validation, annotations/validation",),
    classes=150,
    images=(2000,),
)
