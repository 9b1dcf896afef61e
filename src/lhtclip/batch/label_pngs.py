"""Folders of label PNGs, ours or of other programs: their images, and what values mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lhtclip.batch.entries import Entries
from lhtclip.batch.record import RECORD_FILE, read_record
from lhtclip.errors import InputError, check_kind
from lhtclip.formats.sink import ImageName
from lhtclip.image.files import files_below, find_images, warn_of_left_out
from lhtclip.image.pixels import read_image
from lhtclip.output.png import is_binary
from lhtclip.output.png_names import Meaning, names_in
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Vocabulary

_IGNORED = 255
_OURS = (
    ".mask.png",
    ".overlay.png",
    ".margin.png",
    ".entropy.png",
)  # PNG files among results that hold no labels


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label PNG, the image that it is of, and where that image is, if it is known."""

    path: Path
    name: ImageName
    image: Path | None


def find_label_files(folder: Path, *, images: Path | None = None) -> list[LabelFile]:
    """Find the label PNGs of a folder, sorted, and match them with images by their names.

    Raises:
        InputError: There are none, or an image is missing.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of label PNGs.")
    known = _stems_of(images) if images is not None else {}
    own = [(entry.stem, entry) for entry in Entries(folder)]
    found: list[LabelFile] = []
    if own:
        for stem, entry in own:
            path = folder / f"{stem}.png"
            if path.is_file():
                image = known.get(stem) or known.get(str(entry.name.path.with_suffix("")))
                found.append(LabelFile(path, entry.name, image))
    else:
        left_out: Counter[str] = Counter()
        paths = files_below(folder, (".png",), left_out)
        warn_of_left_out(folder, left_out)
        for path in paths:
            below = PurePosixPath(*path.relative_to(folder).parts)
            if below.name.endswith(_OURS):
                continue
            image = known.get(str(below.with_suffix("")))
            name = below
            if image is not None and images is not None:
                name = PurePosixPath(*image.relative_to(images).parts)
            found.append(LabelFile(path, ImageName(name, below.with_suffix("")), image))
    if not found:
        raise InputError(f"There are no label PNGs in {folder}: write them with --format labels.")
    missing = [file for file in found if images is not None and file.image is None]
    if missing:
        raise InputError(
            f"There is no image for {missing[0].path} in {images}: images and labels must have the "
            "same names but for the suffix."
        )
    return found


def _stems_of(images: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in find_images(images):
        below = PurePosixPath(*path.relative_to(images).parts)
        found.setdefault(str(below.with_suffix("")), path)
        found[str(below)] = path  # a label file may keep its image's suffix: one.jpg.png
    return found


def vocabulary_of(
    folder: Path, files: Sequence[LabelFile], names: Sequence[str] | None, background: str | None
) -> Vocabulary:
    """Return the classes: those given, or of `classes.json`, or inside the first file.

    Raises:
        InputError: There are none, or the background is not one of them.
    """
    place: int | None = None
    if names is None and (folder / RECORD_FILE).is_file():
        classes = (read_record(folder) or {})["classes"]
        names = [each["name"] for each in classes]
        place = next((each["index"] for each in classes if each["background"]), None)
    elif names is None:
        meaning = next(filter(None, map(_meaning, files)), None)
        if meaning is None:
            raise InputError(
                f"{files[0].path} holds no class names, and there is no {RECORD_FILE}: give them "
                "with --classes, in the order of the labels."
            )
        names, place = meaning.names, meaning.background
    if background is not None:
        check_kind("background", background, str)
        if background not in names:
            raise InputError(
                f"The background {background!r} is not one of the classes: {', '.join(names)}."
            )
        place = list(names).index(background)
    return Vocabulary(tuple(names), tuple(names), tuple(range(len(names))), place)


def check_not_binary(folder: Path, files: Sequence[LabelFile]) -> None:
    """Refuse masks of 0 and 255, of which nothing would be converted.

    Raises:
        InputError: They are of this kind.
    """
    if is_binary((file.path for file in files), _IGNORED):
        raise InputError(
            f"The label PNGs in {folder} have no values but 0 and {_IGNORED}, and {_IGNORED} marks "
            "pixels of no class: what they show would be left out. Write 1, the index of the "
            f"second class, in place of {_IGNORED}."
        )


def _meaning(file: LabelFile) -> Meaning | None:
    try:
        return names_in(file.path)
    except InputError:  # reported when it is converted
        return None


def load_labels(file: LabelFile, vocabulary: Vocabulary, first_index: int) -> Segmentation:
    """Read the labels of a file, and its image if there is one.

    Raises:
        InputError: A file cannot be read, or its values or size do not fit.
    """
    image = read_image(file.image) if file.image is not None else None
    try:
        return Segmentation.load(
            file.path,
            names=vocabulary.names,
            background=vocabulary.background,
            first_index=first_index,
            image=image,
        )
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from error
