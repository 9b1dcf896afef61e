"""The counts of a run so far, in memory and on disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import InputError
from lhtclip.evaluation.confusion import Confusion
from lhtclip.files import write_atomically
from lhtclip.files.differences import differences
from lhtclip.files.json_files import parse_json
from lhtclip.files.regular_files import read_regular

_MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """The counts of one image.

    Attributes:
        matrix: (classes, classes) int64, as in `Confusion`.
        trimap: The same for the band along true boundaries; None if it was not requested.
        mean_iou: Over the classes of its ground truth, in [0, 1]; NaN if no pixel counts.
        files: Its image, its ground truth if that is a file, and what was written of it.
        source: Their digest, as of `digest_of`.
    """

    matrix: NDArray[np.int64]
    trimap: NDArray[np.int64] | None
    mean_iou: float
    files: tuple[Path, ...]
    source: str


class Tally:
    """The sum over all images so far.

    Attributes:
        confusion: Counts of all pixels.
        trimap: Counts of the pixels along true boundaries.
        image_iou: Mean IoU of each image, in order.
        files: The absolute paths of the files of each image, a line each, in order.
        sources: Their digest.
        seconds: Time spent on them, in all sessions.
        keys: Keys of the images that `load` found counted.
    """

    def __init__(self, names: Sequence[str], *, with_trimap: bool) -> None:
        """Start from zero."""
        self.confusion = Confusion(names)
        self.trimap = Confusion(names) if with_trimap else None
        self.image_iou: list[float] = []
        self.files: list[str] = []
        self.sources: list[str] = []
        self.seconds = 0.0
        self.keys: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Number of counted images."""
        return len(self.image_iou)

    def add(self, counts: Counts) -> None:
        """Add the next image."""
        self.confusion.matrix += counts.matrix
        if self.trimap is not None and counts.trimap is not None:
            self.trimap.matrix += counts.trimap
        self.image_iou.append(counts.mean_iou)
        self.files.append("\n".join(map(os.path.abspath, counts.files)))
        self.sources.append(counts.source)

    def save(self, path: Path, *, keys: Sequence[str], settings: dict[str, Any]) -> None:
        """Write everything as a NumPy file, whole or not at all.

        Args:
            path: The file.
            keys: Keys of all images of the run.
            settings: What decides the counts, in JSON types.
        """
        arrays: dict[str, Any] = {
            "confusion": self.confusion.matrix,
            "names": np.array(self.confusion.names),
            "keys": np.array(keys[: self.images]),
            "image_iou": np.array(self.image_iou, dtype=np.float64),
            "files": np.array(self.files, dtype=np.str_),
            "sources": np.array(self.sources, dtype=np.str_),
            "seconds": np.array(self.seconds),
            "settings": np.array(json.dumps(settings)),
        }
        if self.trimap is not None:
            arrays["trimap"] = self.trimap.matrix
        arrays["digest"] = np.array(_digest(arrays))
        file = io.BytesIO()
        np.savez(file, **arrays)  # compression would take ten times as long
        write_atomically(path, file.getvalue())

    @classmethod
    def load(cls, path: Path, *, settings: dict[str, Any]) -> Tally:
        """Read back what `save` wrote.

        Raises:
            InputError: The file cannot be read, or its counts are of other settings.
        """
        try:
            content = io.BytesIO(read_regular(path, most=_MOST_BYTES))
            with np.load(content, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            if arrays.pop("digest").item() != _digest(arrays):
                raise ValueError("its parts do not belong together")
            tally = cls(arrays["names"].tolist(), with_trimap="trimap" in arrays)
            tally.confusion.matrix = _matrix(arrays["confusion"], like=tally.confusion.matrix)
            if tally.trimap is not None:
                tally.trimap.matrix = _matrix(arrays["trimap"], like=tally.trimap.matrix)
            tally.image_iou = arrays["image_iou"].tolist()
            tally.files = arrays["files"].tolist()
            tally.sources = arrays["sources"].tolist()
            tally.seconds = float(arrays["seconds"])
            tally.keys = tuple(arrays["keys"].tolist())
            lists = (tally.image_iou, tally.keys, tally.files, tally.sources)
            if len(set(map(len, lists))) > 1:
                raise ValueError("it counts other images than it names")
            changed = differences(parse_json(str(arrays["settings"])), settings)
        except Exception as error:  # damaged archives raise errors of many kinds
            raise InputError(f"The counts {path} cannot be read. {start_over(path)}") from error
        if changed:
            raise InputError(
                f"{path} holds counts of other settings: {changed}. {start_over(path)}"
            )
        return tally


def start_over(path: Path) -> str:
    """Say what to do with counts that cannot be used, in every command that keeps some."""
    return f"Choose another folder, or delete {path} to count again."


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return a SHA-256 of all arrays, which shows that a file was changed."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _matrix(counts: NDArray[Any], *, like: NDArray[np.int64]) -> NDArray[np.int64]:
    if counts.shape != like.shape or counts.dtype != like.dtype or bool((counts < 0).any()):
        raise ValueError(f"counts are of shape {counts.shape} and type {counts.dtype}")
    return counts
