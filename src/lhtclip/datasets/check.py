"""Is a data set what it claims to be? Told before hours are spent on labels that mean nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from lhtclip.datasets.dataset import IGNORED, Dataset, Sample, Truth
from lhtclip.datasets.findings import DatasetReport, Finding, listed
from lhtclip.datasets.verdicts import verdicts
from lhtclip.errors import InputError
from lhtclip.files.regular_files import open_regular

T = TypeVar("T")

_MOST_COPIES = 0.01  # share of a published set; beyond, files were copied over others
_LYING_ORIENTATIONS = (5, 6, 7, 8)  # the values of EXIF that swap height and width


def check_dataset(
    dataset: Dataset,
    *,
    maps: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetReport:
    """Read label maps and say what is wrong with them.

    Pictures are not decoded: their sizes are taken from the headers.

    Args:
        dataset: As a reader gives it.
        maps: How many label maps to read, spread over the set; None for all.
        progress: Called with maps done and maps in all.

    Raises:
        InputError: `maps` is below 1.
    """
    if maps is not None and maps < 1:
        raise InputError(f"At least 1 label map has to be read, not {maps}.")
    chosen = dataset.samples if maps is None else spread(dataset.samples, maps)
    tally = _Tally(len(dataset.names))
    for done, sample in enumerate(chosen, start=1):
        tally.add(sample)
        if progress is not None:
            progress(done, len(chosen))
    report = DatasetReport(
        dataset=dataset,
        maps=len(chosen),
        pixels=tuple(tally.pixels.tolist()),
        occurrences=tuple(tally.occurrences.tolist()),
        ignored=tally.ignored,
        sound=tuple(tally.sound),
        findings=(*tally.copies(published=dataset.published is not None), *tally.findings),
    )
    return replace(report, findings=(*verdicts(report), *report.findings))


def spread(items: Sequence[T], count: int) -> tuple[T, ...]:
    """Pick `count` items at even distances, or all of them where there are no more."""
    count = min(count, len(items))
    return tuple(items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count))


class _Tally:
    """What the label maps read so far hold, and what is wrong with single ones."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.pixels = np.zeros(classes, dtype=np.int64)
        self.occurrences = np.zeros(classes, dtype=np.int64)
        self.ignored = 0
        self.sound: list[Sample] = []
        self.findings: list[Finding] = []
        self._owners: dict[bytes, list[str]] = defaultdict(list)  # of each map, by its digest

    def add(self, sample: Sample) -> None:
        """Read one label map and compare it with its picture."""
        try:
            truth = sample.truth()
        except InputError as error:
            self.findings.append(
                Finding("unreadable label map", str(error), pictures=(sample.key,))
            )
            return
        fault = _strange_labels(sample, truth, self.classes) or _wrong_size(sample, truth)
        if fault:
            self.findings.append(fault)
            return
        self.sound.append(sample)
        counts = np.bincount(truth.ravel() - IGNORED, minlength=self.classes + 1)
        self.ignored += int(counts[0])
        self.pixels += counts[1:]
        self.occurrences += counts[1:] > 0
        if not counts[1:].any():
            text = f"No pixel of {sample.image} counts: its label map holds ignored ones only."
            self.findings.append(
                Finding("label map without labels", text, broken=False, pictures=(sample.key,))
            )
        elif np.count_nonzero(counts) > 1:  # maps of a single label may well be the same
            digest = blake2b(f"{truth.shape}".encode() + truth.tobytes()).digest()
            self._owners[digest].append(sample.key)

    def copies(self, *, published: bool) -> Iterator[Finding]:
        """Tell which label maps are the same, of a published set or of one's own."""
        groups = [keys for keys in self._owners.values() if len(keys) > 1]
        keys = tuple(key for group in groups for key in group)
        if keys:
            text = (
                f"{len(keys)} pictures have the label map of another picture: "
                f"{listed([' = '.join(group) for group in groups])}."
            )
            many = len(keys) > _MOST_COPIES * len(self.sound)
            yield Finding("copied label maps", text, broken=published and many, pictures=keys)


def _strange_labels(sample: Sample, truth: Truth, classes: int) -> Finding | None:
    if truth.ndim != 2 or truth.size == 0:
        text = f"The label map of {sample.image} has no rows and columns, but shape {truth.shape}."
        return Finding("size of a label map", text, pictures=(sample.key,))
    if truth.min() < IGNORED or truth.max() >= classes:
        labels = np.unique(truth)
        strange = labels[(labels < IGNORED) | (labels >= classes)].tolist()
        reason = f"there are {classes} classes, counted from 0"
    elif sample.candidates is not None:
        strange = sorted(set(np.unique(truth).tolist()) - {IGNORED, *sample.candidates})
        reason = f"it may hold {listed(sample.candidates)}"
    else:
        return None
    if not strange:
        return None
    text = f"The label map of {sample.image} holds {listed(strange)}, but {reason}."
    return Finding("label without a class", text, pictures=(sample.key,), ids=tuple(strange))


def _wrong_size(sample: Sample, truth: Truth) -> Finding | None:
    try:
        height, width = _upright_size(sample.image)
    except InputError as error:
        return Finding("unreadable picture", str(error), pictures=(sample.key,))
    if (height, width) == truth.shape:
        return None
    text = (
        f"{sample.image} has {height} x {width} pixels, its label map {truth.shape[0]} x "
        f"{truth.shape[1]}."
    )
    return Finding("size of a label map", text, pictures=(sample.key,))


def _upright_size(path: Path) -> tuple[int, int]:
    """Read height and width from the header, as they are once the picture is turned upright."""
    try:
        with open_regular(path) as file, Image.open(file) as picture:
            if picture.format == "TIFF":
                picture.load()  # only now does Pillow turn it, of its own accord
            width, height = picture.size
            return (width, height) if _lies_on_its_side(picture) else (height, width)
    except Exception as error:  # decoders raise whatever the damage makes them trip over
        raise InputError(f"Cannot read the picture {path}: {error}.") from error


def _lies_on_its_side(picture: Image.Image) -> bool:
    if picture.format == "PNG" and "exif" not in picture.info:
        return False  # Pillow would decode the whole picture to look for EXIF after it
    try:
        return picture.getexif().get(ExifTag.Orientation) in _LYING_ORIENTATIONS
    except Exception:  # broken metadata count as none, as in `lhtclip.image.pixels`
        return False
