"""Find the image files below the paths that a user gives, and report what was skipped."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from lhtclip.errors import InputError, reason_of
from lhtclip.files.regular_files import special_kind
from lhtclip.image.opening import SUFFIXES_OF_FORMAT, SUFFIXES_OF_HEIF, has_heif, printable

SUFFIXES = tuple(suffix for suffixes in SUFFIXES_OF_FORMAT.values() for suffix in suffixes)

# Other files that a user would call images, or that hold some.
_NOT_READ = (
    *(".ai", ".bpg", ".cur", ".dcm", ".dds", ".dicom", ".emf", ".eps", ".exr", ".fit", ".fits"),
    *(".flif", ".hdr", ".heics", ".heifs", ".icns", ".ico", ".img", ".insp", ".jls", ".jp2k"),
    *(".jpm", ".jxl", ".jxr", ".jxs", ".nii", ".npy", ".pam", ".pcx", ".pdf", ".pfm", ".psb"),
    *(".psd", ".qoi", ".ras", ".sgi", ".svg", ".svgz", ".tga", ".vrt", ".wdp", ".wmf", ".xbm"),
    *(".xcf", ".xpm"),
    # Raw files of cameras.
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".gpr", ".iiq", ".kdc", ".mef"),
    *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2"),
    *(".srf", ".srw", ".x3f"),
    # Videos and archives.
    *(".7z", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".rar", ".tar", ".tgz", ".webm", ".zip"),
)
HIDDEN = ".lhtclip"  # in every folder of results
_OF_MACS = "._"  # such files hold attributes of the file named behind
_logger = logging.getLogger("lhtclip")


def suffixes_read() -> tuple[str, ...]:
    """Return the suffixes to look for in folders, including those of installed extras."""
    return (*SUFFIXES, *SUFFIXES_OF_HEIF) if has_heif() else SUFFIXES


def find_images(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the image files that the paths refer to, without duplicates, in the order of the paths.

    Other entries of a folder that look like images (an unsupported format, a linked folder, a FIFO)
    and folders of results are skipped with a warning.

    Args:
        paths: Files with any suffix; folders, which are searched recursively for the known
            suffixes, sorted, without hidden names; and globs ("shots/**/*.jpg").

    Raises:
        InputError: A path matches nothing.
    """
    given = [paths] if isinstance(paths, (str, Path)) else paths
    found = {os.path.abspath(file): file for path in given for file in _expand(path)}
    return list(found.values())


def files_below(
    folder: Path,
    suffixes: tuple[str, ...],
    left_out: Counter[str],
    *,
    noted: Mapping[str, str] = MappingProxyType({}),
    deep: bool = True,
) -> list[Path]:
    """List the files of a folder that have certain suffixes, in any case; sorted.

    Args:
        folder: The folder.
        suffixes: In lower case.
        left_out: Counts what is skipped, in words: hidden files, links to folders, folders of
            results, and files that are none, such as FIFOs.
        noted: Further suffixes that are counted as skipped, and why.
        deep: Search its subfolders as well.
    """
    found: list[Path] = []

    def unreadable(error: OSError) -> None:
        left_out[f"folder that cannot be read ({printable(error.filename)})"] += 1

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(_folders(place, folders, left_out)) if deep else []
        for name in files:
            file, suffix = Path(place, name), os.path.splitext(name)[1].lower()
            if not name.lower().endswith(suffixes):
                if suffix in noted:
                    left_out[f"{suffix} ({noted[suffix]})"] += 1
            elif name.startswith("."):
                left_out["hidden file"] += not name.startswith(_OF_MACS)
            elif kind := _kind(file):
                left_out[kind.removeprefix("a ")] += 1
            else:
                found.append(file)
    return sorted(found)


def warn_of_left_out(place: str | Path, left_out: Counter[str]) -> None:
    """Say what `files_below` skipped."""
    if told := _in_words(left_out):
        _logger.warning("%s: skipped %s.", printable(place), told)


def suffixes_left_out() -> dict[str, str]:
    """Return the suffixes of images that are not read, and why."""
    why = dict.fromkeys(_NOT_READ, "not read")
    remedy = "pip install 'lhtclip[heif]' to read it"
    return why if has_heif() else why | dict.fromkeys(SUFFIXES_OF_HEIF, remedy)


def _expand(path: str | Path) -> list[Path]:
    left_out: Counter[str] = Counter()
    try:
        matches = [Path(path)] if os.path.exists(path) else _globbed(Path(path))
        nested = [_images_of(match, left_out) for match in matches]
    except (OSError, ValueError) as error:
        raise InputError(
            f"Cannot look for images in {printable(path)}: {reason_of(error)}."
        ) from error
    files = [file for group in nested for file in group]
    if not files:
        told = _in_words(left_out)
        raise InputError(
            f"{printable(path)!r} is not an image file, nor a folder or glob with images in it "
            f"({' '.join(suffixes_read())})." + (f" Skipped: {told}." if told else "")
        )
    warn_of_left_out(path, left_out)
    return files


def _images_of(match: Path, left_out: Counter[str]) -> list[Path]:
    if not match.is_dir():
        return [match]
    return files_below(match, suffixes_read(), left_out, noted=suffixes_left_out())


def _globbed(pattern: Path) -> list[Path]:
    """Return what matches a glob, without what links to folders show a second time.

    Folders that exist by the name they are given are not taken for a pattern.
    """
    place = next((parent for parent in pattern.parents if parent.is_dir()), None)
    if place is None:
        return []
    rest = pattern.relative_to(place)
    found = glob.glob(os.path.join(glob.escape(str(place)), str(rest)), recursive=True)
    once: dict[tuple[str, str], Path] = {}
    for match in sorted(map(Path, found), key=lambda path: (len(path.parts), path)):
        once.setdefault((os.path.realpath(match.parent), match.name), match)
    return sorted(once.values())


def _folders(place: str, folders: Sequence[str], left_out: Counter[str]) -> Iterator[str]:
    """Yield the folders to search."""
    for name in folders:
        if name.startswith("."):
            continue
        if os.path.isdir(os.path.join(place, name, HIDDEN)):
            left_out[f"folder of results ({printable(name)})"] += 1
        elif os.path.islink(os.path.join(place, name)):
            left_out["linked folder: pass its path to include it"] += 1
        else:
            yield name


def _in_words(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()) if count)


def _kind(file: Path) -> str | None:
    try:
        return special_kind(os.stat(file).st_mode)
    except OSError:
        return "broken link" if os.path.islink(file) else None  # opening it reports the rest
