"""What a labelled data set is: pictures, the class of every pixel, and the names of the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lhtclip.text.vocabulary import BACKGROUND, shipped_classes

IGNORED = -1  # true label of pixels that do not count

Truth = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture and its true labels.

    key: Names the picture within its data set; usable in file names.
    image: Its file.
    truth: Reads the class of every pixel (height, width) at the picture's own size, `IGNORED` where
        a pixel does not count; raises InputError, naming the file, where the ids in it cannot be.
        It can be pickled, as can the sample.
    candidates: The classes that the picture may be labelled with; None for all.
    """

    key: str
    image: Path
    truth: Callable[[], Truth]
    candidates: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A labelled data set as its publisher ships it.

    name: As in `DATASETS`, or the folder's.
    names: Of the classes; a class's index is its label.
    samples: Sorted by key.
    classes: Words that stand for each class, where the data set brings its own.
    published: How many pictures the publisher counts; None where nobody says.
    """

    name: str
    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    classes: tuple[tuple[str, ...], ...] | None = None
    published: int | None = None


def published_names(class_list: str, *, background: bool = False) -> tuple[str, ...]:
    """Return one name for each class of a shipped class list: its first word.

    With `background`, row 0 holds words for what is no class, and is called "background".
    """
    names = tuple(words[0] for words in shipped_classes(class_list))
    return (BACKGROUND, *names[1:]) if background else names
