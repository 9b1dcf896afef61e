"""Finished strips on disk: each is written atomically, so a killed run continues after the last."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import InputError
from lhtclip.files import locks, write_atomically
from lhtclip.files.json_files import plain_json, read_json
from lhtclip.files.regular_files import read_regular

_RECORD = "strips.json"
_MOST_BYTES = 1 << 32  # of a strip


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """Rows of the map.

    Attributes:
        top: First row, counted in the frame.
        labels: Class indices (rows, width); the largest value of the type is nodata.
        scores: Winner's probability in steps of 1/250 (rows, width) uint8, 255 is nodata; or None.
        probabilities: The same for every class (classes, rows, width), or None.
    """

    top: int
    labels: NDArray[Any]
    scores: NDArray[np.uint8] | None
    probabilities: NDArray[np.uint8] | None


@contextmanager
def locked(out: Path) -> Generator[None, None, None]:
    """Keep other processes from making the same map.

    Raises:
        OutputError: One does.
        InputError: Nothing can be written next to the map.
    """
    busy = f"Another command is making {out}. Choose another --out, or wait for it."
    with locks.locked(_folder_of(out) / "lock", busy=busy):
        yield


def was_interrupted(out: Path) -> bool:
    """Whether a run has begun to make a map and has not ended: its files may be half there."""
    return (_folder_of(out) / _RECORD).is_file()


class Parts:
    """The folder that holds the strips of one map until they are assembled."""

    def __init__(self, out: Path, fingerprint: dict[str, Any], *, overwrite: bool) -> None:
        """Open the folder next to the map.

        Raises:
            InputError: It holds strips of another raster, other classes or other settings.
        """
        self.folder = _folder_of(out)
        record = plain_json(fingerprint)
        path = self.folder / _RECORD
        if path.exists():
            try:
                same = read_json(path) == record
            except (OSError, ValueError):
                same = False
            if not same and not overwrite:
                raise InputError(
                    f"{self.folder} holds strips of another raster or other settings. "
                    "Choose another --out, or pass --overwrite."
                )
            if not same:
                for each in (path, *self._strips()):
                    each.unlink()
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(record, indent=1).encode())

    def done(self) -> set[int]:
        """Return the first rows of the finished strips."""
        return {int(path.stem) for path in self._strips()}

    def write(self, strip: Strip) -> None:
        """Save a strip."""
        arrays: dict[str, NDArray[Any]] = {"labels": strip.labels}
        if strip.scores is not None:
            arrays["scores"] = strip.scores
        if strip.probabilities is not None:
            arrays["probabilities"] = strip.probabilities
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **arrays)
        write_atomically(self.folder / f"{strip.top:09d}.npz", file.getvalue())

    def __iter__(self) -> Iterator[Strip]:
        """Read the strips from top to bottom, one at a time."""
        for path in self._strips():
            yield _read(path)

    def remove(self) -> None:
        """Remove the folder once the map is written; the record goes last."""
        for each in (*self._strips(), self.folder / _RECORD):
            each.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _strips(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.npz"))


def _read(path: Path) -> Strip:
    try:
        content = io.BytesIO(read_regular(path, most=_MOST_BYTES))
        with np.load(content, allow_pickle=False) as arrays:
            return Strip(
                int(path.stem),
                arrays["labels"],
                arrays.get("scores"),
                arrays.get("probabilities"),
            )
    except Exception as error:  # damaged archives raise errors of many kinds
        path.unlink(missing_ok=True)
        raise InputError(
            f"{path} was damaged and is removed: run the command again to label these rows again."
        ) from error


def _folder_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.strips")
