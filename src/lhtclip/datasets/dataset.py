"""What a labelled data set is: images, the class of every pixel, and the names of the classes."""

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
        key: Names the image within its data set; can be a file name.
        image: The image's file.
        truth: Reads the ground truth at the image's own size. Raises InputError, which names the
            file, if it holds ids that cannot occur.
        candidates: The classes that the image may be labelled with; None for all.
    """

    key: str
    image: Path
    truth: Callable[[], Truth]
    candidates: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A labelled data set, opened.

    Attributes:
        name: The name of its `DatasetSpec`, or of the user's folder.
        names: Names of the classes; a class's position is its label.
        samples: Sorted by key.
        classes: The words for each class, if the data set brings its own.
        published: How many images the publisher counts; None if nobody says.
    """

    name: str
    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    classes: tuple[tuple[str, ...], ...] | None = None
    published: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """A kind of data set that can be read, and what is known of it before it is read.

    Attributes:
        name: What users call it.
        read: Opens the one in a folder. Raises InputError if files are missing.
        layouts: The files that are looked for in that folder, one line for each layout.
        classes: How many there are, including the background if it is one; None if that depends.
        images: How many images it has: the published count first, then others in circulation.
        every_class: Whether each class occurs in the whole set.
        read_bundled: Opens the one that comes with the package, if there is one.
    """

    name: str
    read: Callable[[Path], Dataset]
    layouts: tuple[str, ...]
    classes: int | None = None
    images: tuple[int, ...] = ()
    every_class: bool = True
    read_bundled: Callable[[], Dataset] | None = None


def published_names(class_list: str, *, background: bool = False) -> tuple[str, ...]:
    """Return one name for each class of a shipped class list: its first word.

    With `background`, row 0 holds words for everything that is no class; it is called "background".
    """
    names = tuple(words[0] for words in shipped_classes(class_list))
    return (BACKGROUND, *names[1:]) if background else names
