"""Before any work: find the images, name their results, and check that nothing clashes."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lhtclip.errors import InputError, check_kind, reason_of
from lhtclip.formats.sink import ImageName, Sink
from lhtclip.image.files import HIDDEN, find_images
from lhtclip.image.opening import printable

REMEDY = "Choose another output folder (--out)"


@dataclass(frozen=True, slots=True)
class Job:
    """An image to label, and its name among the results."""

    source: Path
    name: ImageName


def check_folder(out: Path) -> None:
    """Check that a folder, which may not exist yet, can be written to; changes nothing.

    Raises:
        InputError: They cannot.
    """
    try:
        os.lstat(out)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # too long, not searchable, with a null character
        raise InputError(
            f"Cannot write into {printable(out)}: {reason_of(error)}. {REMEDY}."
        ) from error
    place = Path(os.path.abspath(out))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(f"Cannot write into {out}: {place} is not a folder. {REMEDY}.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write into {out}: no permission. {REMEDY}.")


def plan_jobs(
    given: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: Path,
    sinks: Mapping[str, Sink],
) -> list[Job]:
    """Find the images and name their results; keeps subfolders of given folders.

    Args:
        given: Files, folders and globs.
        out: Folder of the results. If it is inside a given folder or glob, its content is not
            labelled.
        sinks: The formats.

    Raises:
        InputError: Something given matches no image, or two images would become the same file.
    """
    check_kind("images", given, str, os.PathLike, Iterable)
    entries = [given] if isinstance(given, str | os.PathLike) else list(given)
    for entry in entries:
        if not isinstance(entry, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(
                f"Image files are named by paths, not {type(entry).__name__}; use "
                "Segmenter.segment for arrays and images."
            )
    found: dict[str, tuple[Path, PurePosixPath]] = {}  # by absolute path
    for entry in (os.fspath(each) for each in entries):
        base = _base(entry)
        if os.path.isdir(entry) and _same(base, out):
            raise InputError(f"The images and the results would share the folder {out}. {REMEDY}.")
        own = _inside(out, base) and not os.path.isfile(entry)
        for source in find_images(entry):
            if not (own and _inside(source, out)):
                below = PurePosixPath(*source.relative_to(base).parts)
                found.setdefault(os.path.abspath(source), (source, below))
    if not found:
        raise InputError(f"There are no images apart from those in the output folder {out}.")
    jobs = named(list(found.values()))
    _check_distinct(jobs, out, sinks)
    return jobs


def named(found: Sequence[tuple[Path, PurePosixPath]]) -> list[Job]:
    """Name results after their image; one.jpg next to one.png keeps its suffix.

    So does an image that would get the name of another that has kept its own, and so on.

    Args:
        found: The images, each with its path below the given folder.
    """
    stems = {below: below.with_suffix("") for _, below in found}
    while clashing := _clashing(stems):
        stems |= {below: below for below in clashing}
    return [Job(source, ImageName(below, stems[below])) for source, below in found]


def check_case(jobs: Iterable[Job], out: Path) -> None:
    """Check results that differ in case only, where case does not count, as on FAT and APFS.

    Args:
        jobs: The images.
        out: The folder of the results, which exists and is locked.

    Raises:
        InputError: Two images would become the same files.
    """
    if not (out / HIDDEN.upper()).exists():
        return
    owners: dict[str, Job] = {}
    for job in jobs:
        name = unicodedata.normalize("NFC", str(job.name.stem)).casefold()
        owner = owners.setdefault(name, job)
        if owner is not job:
            raise InputError(
                f"{owner.source} and {job.source} would become the same files, because case does "
                f"not count in {out}. Rename one, or use two runs with an output folder each."
            )


def _clashing(stems: Mapping[PurePosixPath, PurePosixPath]) -> list[PurePosixPath]:
    """Return the images without their suffix whose name another image has, too."""
    counts = Counter(map(os.path.normcase, stems.values()))
    return [
        below
        for below, stem in stems.items()
        if stem != below and counts[os.path.normcase(stem)] > 1
    ]


def _check_distinct(jobs: Sequence[Job], out: Path, sinks: Mapping[str, Sink]) -> None:
    sources = {_identity(job.source) for job in jobs}
    whole = [file for sink in sinks.values() for file in sink.run_files()]
    owners: dict[str, str] = {_identity(out / file): "the whole run" for file in whole}
    for job in jobs:
        for file in (file for sink in sinks.values() for file in sink.files(job.name)):
            path = out / file
            if _identity(path) in sources:
                raise InputError(
                    f"The results of {job.source} would replace the image {path}. {REMEDY}."
                )
            owner = owners.setdefault(_identity(path), str(job.source))
            if owner != str(job.source):
                raise InputError(
                    f"{owner} and {job.source} would both become {path}. Give the folder that "
                    "holds both, rename one, or use two runs with an output folder each."
                )


def _base(given: str) -> Path:
    """Return the folder below which subfolders are kept: for a glob, the part before its stars."""
    place = Path(given)
    if os.path.isdir(place):
        return place
    if os.path.exists(place):
        return place.parent
    place = place.parent
    while not os.path.isdir(place) and place != place.parent:
        place = place.parent
    return place


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))


def _same(first: Path, second: Path) -> bool:
    return _identity(first) == _identity(second)


def _inside(path: Path, folder: Path) -> bool:
    return Path(_identity(folder)) in Path(_identity(path)).parents
