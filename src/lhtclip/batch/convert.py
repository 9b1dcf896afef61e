"""Label PNGs that exist already become any format: ours, or any palette or greyscale ones."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lhtclip.batch.entries import HIDDEN, Entries
from lhtclip.batch.plan import REMEDY, check_folder
from lhtclip.batch.record import RECORD_FILE, read_record
from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.formats import open_sinks
from lhtclip.formats.sink import ImageName, OutputOptions, Part, Sink
from lhtclip.image.files import find_images
from lhtclip.image.pixels import read_image
from lhtclip.output.png_names import names_in
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Vocabulary

_OURS = (".mask.png", ".overlay.png")  # PNG files among results that hold no labels


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label PNG, the image that it is of, and where that image is, if it is known."""

    path: Path
    name: ImageName
    image: Path | None


def convert_files(
    results: str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: str | Sequence[str],
    *,
    names: Sequence[str] | None = None,
    background: str | None = None,
    first_index: int = 0,
    images: str | os.PathLike[str] | None = None,
    options: OutputOptions | None = None,
) -> list[Path]:
    """Write label PNGs in other formats; scores, which such files do not hold, count as 1.

    Args:
        results: A folder of results of ours, or of label PNGs with or without subfolders.
        out: Folder of the files written.
        formats: Names in `lhtclip.formats.SINKS`.
        names: The classes in the order of their indices; by default those of `classes.json` or
            inside the PNG files.
        background: The class that is "none of the others".
        first_index: Value of the first class in PNG files of others, 0 or 1; with 1 the value 0
            means "ignored".
        images: Folder of the images. Formats with pictures in them need it; others take from it
            what the images are called.
        options: How files are wanted.

    Returns:
        The files written.

    Raises:
        InputError: Something cannot be read, written or understood.
    """
    folder, target = Path(results), Path(out)
    check_folder(target)
    if os.path.abspath(folder) == os.path.abspath(target):
        raise InputError(f"The labels and the files made of them would share {out}. {REMEDY}.")
    files = find_label_files(folder, images=Path(images) if images is not None else None)
    vocabulary = _vocabulary(folder, files, names, background)
    sinks = open_sinks(formats, vocabulary, options)
    written: list[Path] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
        for file in files:
            result = _load(file, vocabulary, first_index)
            written += _write(file, result, sinks, target)
            spool.write(json.dumps(_parts(file, result, sinks)) + "\n")
        for format, sink in sinks.items():
            paths = [target / path for path in sink.run_files()]
            if paths:
                contents = sink.assemble(_Spooled(spool, files, format))
                pairs = zip(paths, contents, strict=True)
                written += [write_atomically(path, content) for path, content in pairs]
    return written


def find_label_files(folder: Path, *, images: Path | None = None) -> list[LabelFile]:
    """Find the label PNGs of a folder, sorted, and match them with images by their names.

    Raises:
        InputError: There are none, or an image is missing.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of label PNGs.")
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
        for path in sorted(folder.rglob("*.png")):
            below = PurePosixPath(*path.relative_to(folder).parts)
            if HIDDEN in below.parts or below.name.endswith(_OURS):
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


class _Spooled:
    """The parts of one format, read back line by line."""

    def __init__(self, spool: IO[str], files: Sequence[LabelFile], format: str) -> None:
        self._spool, self._files, self._format = spool, files, format

    def __iter__(self) -> Iterator[Part]:
        self._spool.seek(0)
        for file, line in zip(self._files, self._spool, strict=True):
            kept = json.loads(line)
            yield Part(file.name, kept["width"], kept["height"], kept["parts"][self._format])


def _stems_of(images: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in find_images(images):
        below = PurePosixPath(*path.relative_to(images).parts)
        found.setdefault(str(below.with_suffix("")), path)
        found[str(below)] = path  # a label file may keep its image's suffix: one.jpg.png
    return found


def _vocabulary(
    folder: Path, files: Sequence[LabelFile], names: Sequence[str] | None, background: str | None
) -> Vocabulary:
    """Return the classes: those given, or of `classes.json`, or inside the first file."""
    place: int | None = None
    if names is None and (folder / RECORD_FILE).is_file():
        classes = (read_record(folder) or {})["classes"]
        names = [each["name"] for each in classes]
        place = next((each["index"] for each in classes if each["background"]), None)
    elif names is None:
        meaning = names_in(files[0].path)
        if meaning is None:
            raise InputError(
                f"{files[0].path} holds no class names, and there is no {RECORD_FILE}: give them "
                "with --classes, in the order of the labels."
            )
        names, place = meaning.names, meaning.background
    if background is not None:
        if background not in names:
            raise InputError(
                f"The background {background!r} is none of the classes: {', '.join(names)}."
            )
        place = list(names).index(background)
    return Vocabulary(tuple(names), tuple(names), tuple(range(len(names))), place)


def _load(file: LabelFile, vocabulary: Vocabulary, first_index: int) -> Segmentation:
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


def _write(
    file: LabelFile, result: Segmentation, sinks: Mapping[str, Sink], out: Path
) -> Iterable[Path]:
    for sink in sinks.values():
        contents = sink.encode(file.name, result)
        for path, content in zip(sink.files(file.name), contents, strict=True):
            yield write_atomically(out / path, content)


def _parts(file: LabelFile, result: Segmentation, sinks: Mapping[str, Sink]) -> dict[str, Any]:
    height, width = result.labels.shape
    parts = {format: sink.part(file.name, result) for format, sink in sinks.items()}
    return {"width": width, "height": height, "parts": parts}
