"""Finds files below a root folder, and pairs images with label maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lhtclip.errors import InputError, listed
from lhtclip.files.regular_files import read_regular

_MOST_BYTES = 64 << 20  # of a list


def locate(title: str, root: Path, places: Sequence[str], needed: Sequence[str]) -> Path:
    """Return the first of `places` below `root` that has all the files and folders `needed`.

    Args:
        title: Name of the data set, for people.
        root: The folder that the user gave.
        places: Folders relative to `root`; "" is `root` itself.
        needed: Paths relative to such a folder.

    Raises:
        InputError: None has; the message lists what was looked for.
    """
    for place in places:
        if all((root / place / path).exists() for path in needed):
            return root / place
    raise not_found(title, root, places, f"{', '.join(needed[:-1])} and {needed[-1]}")


def not_found(title: str, root: Path, places: Sequence[str], looked_for: str) -> InputError:
    """Build the error for a data set, or a part of it, that is not found below `root`."""
    folders = [place for place in places if place]
    elsewhere = f" or its folders {', '.join(folders)}" if folders else ""
    return InputError(f"{title} was not found in {root}{elsewhere}: looked for {looked_for}.")


def files_by_name(folders: Iterable[Path], suffix: str) -> dict[str, Path]:
    """Map file names without `suffix` to the files that end with it, except hidden ones.

    Folders that do not exist count as empty.

    Raises:
        InputError: Two folders have the same name.
    """
    found: dict[str, Path] = {}
    for path in _files(folders):
        if not path.name.endswith(suffix):
            continue
        name = path.name.removesuffix(suffix)
        if name in found:
            raise InputError(f"{found[name]} and {path} have the same name; remove one of them.")
        found[name] = path
    return found


def read_list(path: Path) -> list[str]:
    """Read a publisher's list of images: the first word of every line that is not empty.

    Raises:
        InputError: The list cannot be read, is empty, or names an image twice.
    """
    try:
        lines = read_regular(path, most=_MOST_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the list {path}: {error}.") from error
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise InputError(f"The list {path} names no image.")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"The list {path} names {repeated} twice.")
    return names


def pair(
    title: str,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    *,
    names: Iterable[str] | None = None,
) -> Iterator[tuple[str, Path, Path]]:
    """Return (name, image, label map) sorted by name.

    Args:
        title: Name of the data set, for people.
        images: Images by name.
        labels: Label maps by name.
        names: The names that must exist; None if every file must have its counterpart.

    Raises:
        InputError: Some are missing; the message counts them and names a few.
    """
    wanted = sorted(images.keys() | labels.keys() if names is None else names)
    no_image = [name for name in wanted if name not in images]
    no_labels = [name for name in wanted if name not in labels]
    if no_image or no_labels:
        parts = [
            f"{len(missing)} of {len(wanted)} lack the {what} ({listed(missing, most=3)})"
            for what, missing in (("picture", no_image), ("label map", no_labels))
            if missing
        ]
        raise InputError(f"{title} is incomplete: {' and '.join(parts)}.")
    return ((name, images[name], labels[name]) for name in wanted)


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if not path.name.startswith("."))
