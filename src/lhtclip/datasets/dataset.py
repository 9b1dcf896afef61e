"""A labelled data set: images, the class of every pixel, and the names of the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lhtclip.text.vocabulary import BACKGROUND, shipped_classes

# The class of every pixel (height, width): uint8 up to 255 classes, uint16 beyond. The largest
# value of the type marks pixels that do not count, as in `Segmentation.labels`.
Truth = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Sample:
    """An image and its ground truth; it can be pickled.

    Attributes:
        key: The image's name within its data set; can be a file name.
        image: The image's file.
        truth: Reads the ground truth at the image's own size. Raises InputError, which names the
            file, if it has ids that cannot occur.
        candidates: The classes that the image may be labelled with; None for all.
        labels: The file that `truth` reads, which ties counts to it; None if there is none.
    """

    key: str
    image: Path
    truth: Callable[[], Truth]
    candidates: tuple[int, ...] | None = None
    labels: Path | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A labelled data set, opened.

    Attributes:
        name: The name of its `DatasetSpec`, or of the user's folder.
        names: Names of the classes; a class's position is its label.
        samples: Sorted by key.
        classes: The prompts of each class, if the data set has its own.
        published: The publisher's number of images; None if unknown.
    """

    name: str
    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    classes: tuple[tuple[str, ...], ...] | None = None
    published: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """A kind of data set that can be read, and its known facts.

    Attributes:
        name: Its name for users.
        read: Opens it in a folder. Raises InputError if files are missing.
        layouts: The files to look for in that folder, one line for each layout.
        classes: Number of classes, including a background class; None if it varies.
        images: Number of images: the published one first, then others in circulation.
        every_class: Whether each class occurs in the whole set.
        read_bundled: Opens the bundled one, if there is one.
    """

    name: str
    read: Callable[[Path], Dataset]
    layouts: tuple[str, ...]
    classes: int | None = None
    images: tuple[int, ...] = ()
    every_class: bool = True
    read_bundled: Callable[[], Dataset] | None = None


def published_names(class_list: str, *, background: bool = False) -> tuple[str, ...]:
    """Return one name for each class of a shipped class list: its first prompt.

    With `background`, row 0 has prompts for everything that is no class; it is called "background".
    """
    names = tuple(words[0] for words in shipped_classes(class_list))
    return (BACKGROUND, *names[1:]) if background else names
