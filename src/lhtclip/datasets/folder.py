"""A folder of your own: `images/`, `masks/` and `classes.txt`.

images/       images of any format that can be read
masks/        for each a PNG file of the same name up to the suffix, palette or greyscale, 8 or 16
              bits, whose pixels are indices of classes, counted from 0
classes.txt   a line for each class, '|' between its prompts, the first is the name

255 marks pixels that do not count; with more than 255 classes, 65535 does. A background is a class
like any other: call the first line "background", or write prompts for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from lhtclip.datasets.dataset import Dataset, DatasetSpec, Sample
from lhtclip.datasets.label_maps import as_they_are, read_truth
from lhtclip.datasets.layout import locate, pair
from lhtclip.errors import InputError
from lhtclip.image.files import (
    files_below,
    suffixes_left_out,
    suffixes_read,
    warn_of_left_out,
)
from lhtclip.output.png import is_binary
from lhtclip.segmentation import ignored_label, label_dtype
from lhtclip.text.vocabulary import Vocabulary, read_classes_file

_MOST_CLASSES = 65535  # one less than uint16 has: the last value means "ignored"
_IMAGES, _MASKS, _CLASSES = "images", "masks", "classes.txt"


def read_folder(root: Path) -> Dataset:
    """Read a folder of images and masks; the data set has the folder's name.

    Raises:
        InputError: Files are missing, images and masks do not match, or `classes.txt` cannot be
            used.
    """
    folder = locate("A data set of your own", root, ("",), (_IMAGES, _MASKS, _CLASSES))
    classes = tuple(read_classes_file(folder / _CLASSES))
    if len(classes) > _MOST_CLASSES:
        raise InputError(
            f"{folder / _CLASSES} has {len(classes)} classes; at most {_MOST_CLASSES} can be "
            "evaluated."
        )
    ignored = ignored_label(label_dtype(len(classes)))
    truth = partial(
        read_truth,
        classes=as_they_are(len(classes), ignored=ignored),
        expected=f"the indices 0 to {len(classes) - 1} of {_CLASSES}, and {ignored}",
    )
    masks = _by_stem(folder / _MASKS, (".png",), {})
    images = _by_stem(folder / _IMAGES, suffixes_read(), suffixes_left_out())
    pairs = list(pair(str(folder), images, masks))
    samples = tuple(
        Sample(name, image, partial(truth, mask), labels=mask) for name, image, mask in pairs
    )
    if not samples:
        raise InputError(f"{folder / _IMAGES} has no images ({' '.join(suffixes_read())}).")
    if len(classes) > 1:
        _check_not_binary(folder / _MASKS, [mask for _, _, mask in pairs], ignored)
    names = Vocabulary.of(classes, allow_shared_queries=True).names
    return Dataset(folder.resolve().name, names, samples, classes=classes)


def _check_not_binary(folder: Path, masks: Iterable[Path], ignored: int) -> None:
    """Refuse masks that use the ignored value for a thing."""
    if is_binary(masks, ignored):
        raise InputError(
            f"The masks in {folder} have no values but 0 and {ignored}, and {ignored} marks pixels "
            f"that do not count: what they show would be ignored. Write 1, the index of the second "
            f"line of {_CLASSES}, in place of {ignored}."
        )


def _by_stem(folder: Path, suffixes: tuple[str, ...], noted: Mapping[str, str]) -> dict[str, Path]:
    """Return the files of a folder by their names without suffix, and say what is left out."""
    found: dict[str, Path] = {}
    left_out: Counter[str] = Counter()
    paths = files_below(folder, suffixes, left_out, noted=noted, deep=False)
    warn_of_left_out(folder, left_out)
    for path in paths:
        other = found.setdefault(path.stem, path)
        if other != path:
            raise InputError(f"{other} and {path} have the same name; remove one of them.")
    return found


FOLDER = DatasetSpec("folder", read_folder, (f"{_IMAGES}, {_MASKS}, {_CLASSES}",))
