"""Labelled data sets, read from their publishers' folders."""

from __future__ import annotations

from pathlib import Path

from lhtclip.datasets.ade20k import ADE20K
from lhtclip.datasets.cityscapes import CITYSCAPES
from lhtclip.datasets.coco_object import COCO_OBJECT
from lhtclip.datasets.coco_stuff import COCO_STUFF171
from lhtclip.datasets.context import CONTEXT59, CONTEXT60
from lhtclip.datasets.dataset import Dataset, DatasetSpec, Sample, Truth
from lhtclip.datasets.folder import FOLDER
from lhtclip.datasets.scenes import SCENES
from lhtclip.datasets.voc import VOC20, VOC21
from lhtclip.errors import InputError, unknown

__all__ = ["DATASETS", "SPECS", "Dataset", "DatasetSpec", "Sample", "Truth", "open_dataset"]

SPECS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        VOC21,
        CONTEXT60,
        COCO_OBJECT,
        VOC20,
        CITYSCAPES,
        CONTEXT59,
        ADE20K,
        COCO_STUFF171,
        FOLDER,
        SCENES,
    )
}

# The publications' eight data sets, in the order of the columns of their tables.
DATASETS: tuple[str, ...] = tuple(name for name, spec in SPECS.items() if spec.images)


def open_dataset(name: str, root: str | Path | None = None) -> Dataset:
    """Find a data set on disk and list its samples; images and labels are read on demand.

    Args:
        name: A key of `SPECS`: one of `DATASETS`, "folder" for one of your own (see
            `lhtclip.datasets.folder`), or "scenes".
        root: The publisher's folder, or its parent. Only "scenes" needs none: without it, the
            bundled scenes are opened.

    Raises:
        UnknownNameError: There is no such data set.
        InputError: There is no root, or the data set in it is not found or incomplete.
    """
    if name not in SPECS:
        raise unknown("data set", name, SPECS)
    spec = SPECS[name]
    if root is None:
        if spec.read_bundled is not None:
            return spec.read_bundled()
        raise InputError(
            f"The data set {name!r} needs its folder, or the parent of that: give its root."
        )
    if not Path(root).is_dir():
        raise InputError(f"There is no folder {root}; give the folder of {name!r}, or its parent.")
    return spec.read(Path(root))
