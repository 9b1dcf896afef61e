"""PASCAL Context: 59 classes of objects and stuff on VOC 2010, the rest background or ignored.

Read from the usual toolbox's PNG files or from the original release. The toolbox's list has 5104
images; the release labels all 5105 of VOC 2010's validation list.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lhtclip.datasets.context_mat import (
    LABELS_FILE,
    MATS,
    classes_by_id,
    read_mat,
)
from lhtclip.datasets.dataset import Dataset, DatasetSpec, Sample, Truth, published_names
from lhtclip.datasets.label_maps import as_they_are, read_truth, zero_ignored
from lhtclip.datasets.layout import files_by_name, locate, not_found, pair, read_list

_PLACES = ("", "VOC2010", "VOCdevkit/VOC2010")
_PLACES_OF_MATS = (*_PLACES, "pascal-context", "PASCAL-Context")
_IMAGES, _PNGS = "JPEGImages", "SegmentationClassContext"
_TITLE = "PASCAL Context"
_EXPECTED = "0 to 59, where 0 is the background and nothing has been subtracted yet"

# Lists of the validation set, in order of preference, and their numbers of images.
_LISTS = {
    "ImageSets/SegmentationContext/val.txt": 5104,
    "pascalcontext_val.txt": 5105,
    "ImageSets/Main/val.txt": 5105,
}


def read_context60(root: Path) -> Dataset:
    """Read the validation set with everything outside the 59 classes as class 0.

    Raises:
        InputError: Folders or files are missing.
        MissingDependencyError: The labels are .mat files and SciPy is not installed.
    """
    return _read(root, "context60", background=0)


def read_context59(root: Path) -> Dataset:
    """Read the validation set, ignoring everything outside the 59 classes.

    Raises:
        InputError: Folders or files are missing.
        MissingDependencyError: The labels are .mat files and SciPy is not installed.
    """
    return _read(root, "context59", background=None)


def _read(root: Path, name: str, *, background: int | None) -> Dataset:
    voc = locate(_TITLE, root, _PLACES, ("ImageSets", _IMAGES))
    labels, truth = _label_maps(root, voc, background)
    path = next((voc / path for path in _LISTS if (voc / path).is_file()), None)
    if path is None:
        raise not_found(f"The validation list of {_TITLE}", voc, (), " or ".join(_LISTS))
    images = files_by_name([voc / _IMAGES], ".jpg")
    pairs = pair(f"{_TITLE} in {voc}", images, labels, names=read_list(path))
    samples = tuple(
        Sample(key, image, partial(truth, file), labels=file) for key, image, file in pairs
    )
    published = _LISTS[path.relative_to(voc).as_posix()]
    return Dataset(name, published_names(name), samples, published=published)


def _label_maps(
    root: Path, voc: Path, background: int | None
) -> tuple[dict[str, Path], Callable[[Path], Truth]]:
    """Return the label maps by name, and their reader."""
    labels = files_by_name([voc / _PNGS], ".png")
    if labels:
        classes = as_they_are(60) if background == 0 else zero_ignored(59)
        return labels, partial(read_truth, classes=classes, expected=_EXPECTED)
    for place in (root / place for place in _PLACES_OF_MATS):
        labels = files_by_name([place / MATS], ".mat")
        if labels:
            classes = classes_by_id(place / LABELS_FILE, background=background)
            return labels, partial(read_mat, classes=classes)
    looked_for = f"{_PNGS}/*.png, or for {MATS}/*.mat and {LABELS_FILE}"
    raise not_found(f"A label map of {_TITLE}", root, _PLACES_OF_MATS, looked_for)


_LAYOUTS = (
    "VOCdevkit/VOC2010: JPEGImages, SegmentationClassContext, "
    "ImageSets/SegmentationContext/val.txt",
    "VOCdevkit/VOC2010: JPEGImages, trainval/*.mat, labels.txt, ImageSets/Main/val.txt",
)

CONTEXT60 = DatasetSpec("context60", read_context60, _LAYOUTS, classes=60, images=(5104, 5105))
CONTEXT59 = DatasetSpec("context59", read_context59, _LAYOUTS, classes=59, images=(5104, 5105))
