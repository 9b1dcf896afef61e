"""Find the image files below the paths that a user gives, and report what was skipped."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lhtclip.errors import InputError, reason_of
from lhtclip.files.regular_files import special_kind
from lhtclip.image.opening import SUFFIXES_OF_FORMAT, SUFFIXES_OF_HEIF, has_heif, printable

SUFFIXES = tuple(suffix for suffixes in SUFFIXES_OF_FORMAT.values() for suffix in suffixes)

# Other formats that a user would call images.
_NOT_READ = (
    *(".arw", ".bpg", ".cr2", ".cr3", ".dng", ".eps", ".exr", ".fits", ".fit", ".hdr", ".ico"),
    *(".jpf", ".jxl", ".jxr", ".mpo", ".nef", ".orf", ".pcx", ".pdf", ".pfm", ".psd"),
    *(".raf", ".raw", ".rw2", ".sgi", ".svg", ".tga", ".vrt", ".wdp", ".xcf", ".dcm", ".dicom"),
    *(".nii", ".npy", ".jp2k", ".img", ".heics", ".heifs", ".qoi", ".cur", ".icns"),
)
HIDDEN = ".lhtclip"  # in every folder of results
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


def _expand(path: str | Path) -> list[Path]:
    try:
        matches = [Path(path)]
        if not os.path.exists(path):
            matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        left_out: Counter[str] = Counter()
        nested = [_below(match, left_out) if match.is_dir() else [match] for match in matches]
    except (OSError, ValueError) as error:
        raise InputError(
            f"Cannot look for images in {printable(path)}: {reason_of(error)}."
        ) from error
    files = [file for group in nested for file in group]
    told = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
    if not files:
        raise InputError(
            f"{printable(path)!r} is not an image file, nor a folder or glob with images in it "
            f"({' '.join(suffixes_read())})." + (f" Skipped: {told}." if told else "")
        )
    if told:
        _logger.warning("%s: skipped %s.", printable(path), told)
    return files


def _below(folder: Path, left_out: Counter[str]) -> list[Path]:
    found: list[Path] = []
    suffixes = suffixes_read()

    def unreadable(error: OSError) -> None:
        left_out[f"folder that cannot be read ({printable(error.filename)})"] += 1

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in list(folders):
            if os.path.isdir(os.path.join(place, name, HIDDEN)):
                folders.remove(name)
                left_out[f"folder of results ({printable(name)})"] += 1
            elif os.path.islink(os.path.join(place, name)):
                left_out["linked folder: pass its path to include it"] += 1
        for name in files:
            if name.startswith("."):
                continue
            file = Path(place, name)
            if not name.lower().endswith(suffixes):
                _note_suffix(file, left_out)
            elif kind := _kind(file):
                left_out[kind.removeprefix("a ")] += 1
            else:
                found.append(file)
    return sorted(found)


def _note_suffix(file: Path, left_out: Counter[str]) -> None:
    suffix = file.suffix.lower()
    if suffix in SUFFIXES_OF_HEIF:
        left_out[f"{suffix} (pip install 'lhtclip[heif]' to read it)"] += 1
    elif suffix in _NOT_READ:
        left_out[f"{suffix} (not read)"] += 1


def _kind(file: Path) -> str | None:
    try:
        return special_kind(os.stat(file).st_mode)
    except OSError:
        return "broken link" if os.path.islink(file) else None  # opening it reports the rest
