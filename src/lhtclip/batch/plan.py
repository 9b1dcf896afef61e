"""Before any work: which files each image will become, and that no two of them are the same."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lhtclip.errors import InputError, unknown
from lhtclip.image.files import find_images

# What is added to an image's name without its suffix; "binary" gives a file for each class.
FORMATS = {
    "labels": ".png",
    "overlay": ".overlay.jpg",
    "scores": ".scores.npz",
    "binary": ".{}.mask.png",
}
_SLUG_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Job:
    """An image and the files that it becomes: of each format one, of "binary" one a class."""

    source: Path
    outputs: Mapping[str, tuple[Path, ...]]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of all formats."""
        return tuple(path for paths in self.outputs.values() for path in paths)

    @property
    def done(self) -> bool:
        """Whether every file is there; files appear whole, so they are complete then."""
        return all(os.path.isfile(path) for path in self.files)


def parse_formats(text: str) -> tuple[str, ...]:
    """Read a list with commas, such as "labels, overlay".

    Raises:
        UnknownNameError: There is no such format.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
    return tuple(dict.fromkeys(names))


def check_folder(out: Path) -> None:
    """Check that files can be put into a folder, which may not exist yet; changes nothing.

    Raises:
        InputError: They cannot.
    """
    place = Path(os.path.abspath(out))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(f"Cannot write into {out}: {place} is no folder. Choose another --out.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write into {out}: no permission. Choose another --out.")


def plan_jobs(
    given: Sequence[str], out: Path, *, formats: Sequence[str], names: Sequence[str]
) -> list[Job]:
    """Find the images and give each its output files; subfolders below what was given are kept.

    Args:
        given: Files, folders and globs.
        out: Folder of the results. Where it lies inside a folder or glob that was given, what is
            in it is not taken for images.
        formats: Names in `FORMATS`.
        names: The classes.

    Raises:
        InputError: Something given matches no image, or two images would become the same file.
    """
    slugs = slugs_of(names)
    stems: dict[str, tuple[Path, Path]] = {}  # absolute source -> source, place of its results
    for entry in given:
        base = _base(entry)
        if os.path.isdir(entry) and _same(base, out):
            raise InputError(
                f"The images and the results would share the folder {out}. Choose another --out."
            )
        own = _inside(out, base) and not os.path.isfile(entry)
        for source in find_images(entry):
            if not (own and _inside(source, out)):
                stem = out / source.relative_to(base).with_name(source.stem)
                stems.setdefault(os.path.abspath(source), (source, stem))
    if not stems:
        raise InputError(f"There are no images beside those in the --out folder {out}.")
    jobs = [Job(source, _outputs(stem, formats, slugs)) for source, stem in stems.values()]
    _check_distinct(jobs)
    return jobs


def slugs_of(names: Sequence[str]) -> tuple[str, ...]:
    """Make file-name parts of class names, all different: "Man in a shirt" -> "man-in-a-shirt"."""
    slugs: dict[str, None] = {}
    for index, name in enumerate(names):
        words = "".join(c if c.isalnum() else " " for c in name.casefold()).split()
        slug = "-".join(words)[:_SLUG_LENGTH].rstrip("-") or f"class-{index}"
        while slug in slugs:
            slug = f"{slug}-{index}"
        slugs[slug] = None
    return tuple(slugs)


def _outputs(
    stem: Path, formats: Sequence[str], slugs: Sequence[str]
) -> dict[str, tuple[Path, ...]]:
    return {
        name: tuple(
            stem.with_name(stem.name + FORMATS[name].format(slug))
            for slug in (slugs if name == "binary" else ("",))
        )
        for name in formats
    }


def _check_distinct(jobs: Sequence[Job]) -> None:
    sources = {_identity(job.source) for job in jobs}
    owners: dict[str, Path] = {}
    for job in jobs:
        for path in job.files:
            if _identity(path) in sources:
                raise InputError(
                    f"The results of {job.source} would replace the image {path}. "
                    "Choose another --out."
                )
            owner = owners.setdefault(_identity(path), job.source)
            if owner != job.source:
                raise InputError(
                    f"{owner} and {job.source} would both become {path}. Give the folder that "
                    "holds both, rename one, or use two runs with an --out each."
                )


def _base(given: str) -> Path:
    """Return the folder below which subfolders are kept: of a glob, what lies before its stars."""
    place = Path(given)
    if place.is_dir():
        return place
    if os.path.exists(place):
        return place.parent
    place = place.parent
    while glob.has_magic(str(place)):
        place = place.parent
    return place


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))


def _same(first: Path, second: Path) -> bool:
    return _identity(first) == _identity(second)


def _inside(path: Path, folder: Path) -> bool:
    return Path(_identity(folder)) in Path(_identity(path)).parents
