"""Labelled data sets, read from the folders that their publishers ship."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lhtclip.datasets.ade20k import read_ade20k
from lhtclip.datasets.cityscapes import read_cityscapes
from lhtclip.datasets.coco_object import read_coco_object
from lhtclip.datasets.coco_stuff import read_coco_stuff171
from lhtclip.datasets.context import read_context59, read_context60
from lhtclip.datasets.dataset import IGNORED as IGNORED
from lhtclip.datasets.dataset import Dataset as Dataset
from lhtclip.datasets.dataset import Sample as Sample
from lhtclip.datasets.dataset import Truth as Truth
from lhtclip.datasets.folder import read_folder
from lhtclip.datasets.label_maps import read_ids as read_ids
from lhtclip.datasets.scenes import read_scenes
from lhtclip.datasets.voc import read_voc20, read_voc21
from lhtclip.errors import InputError, unknown

# The eight of the publications, in the order of the columns of their tables.
DATASETS: tuple[str, ...] = (
    "voc21",
    "context60",
    "coco_object",
    "voc20",
    "cityscapes",
    "context59",
    "ade20k",
    "coco_stuff171",
)

READERS: dict[str, Callable[[Path], Dataset]] = {
    "voc21": read_voc21,
    "context60": read_context60,
    "coco_object": read_coco_object,
    "voc20": read_voc20,
    "cityscapes": read_cityscapes,
    "context59": read_context59,
    "ade20k": read_ade20k,
    "coco_stuff171": read_coco_stuff171,
    "folder": read_folder,
    "scenes": read_scenes,
}


def open_dataset(name: str, root: str | Path | None = None) -> Dataset:
    """Find a data set on disk and list its samples; pictures and labels are read when used.

    Args:
        name: A key of `READERS`: one of `DATASETS`, "folder" for one of your own (see
            `lhtclip.datasets.folder`), or "scenes".
        root: The publisher's folder, or a folder that holds it. Only "scenes" needs none: without
            it stands for the scenes that come with the package.

    Raises:
        UnknownNameError: No such data set.
        InputError: There is no root, or the data set in it is not found or incomplete.
    """
    if name not in READERS:
        raise unknown("data set", name, READERS)
    if root is None:
        if name == "scenes":
            return read_scenes()
        raise InputError(f"The data set {name!r} needs the folder that holds it: give its root.")
    if not Path(root).is_dir():
        raise InputError(f"There is no folder {root}; give the one that holds {name!r}.")
    return READERS[name](Path(root))
