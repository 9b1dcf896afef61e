"""Checks whether a data set is what it claims to be, before hours go into meaningless numbers.

Four checks: the number of images, the ids in the label maps, the sizes of images and label maps,
and classes that never occur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from lhtclip.datasets import SPECS
from lhtclip.datasets.dataset import Dataset, Sample, Truth
from lhtclip.errors import InputError, listed
from lhtclip.files.regular_files import open_regular
from lhtclip.segmentation import ignored_label, label_dtype

T = TypeVar("T")

_LYING_ORIENTATIONS = (5, 6, 7, 8)  # the values of EXIF that swap height and width


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of a data set.

    Attributes:
        kind: The kind of finding.
        text: One or two sentences that name the files and the labels in them.
        broken: Whether numbers measured on the set would mean nothing; otherwise a person should
            look at it.
        images: Keys of the samples concerned; none if it concerns the whole set.
        ids: The labels concerned.
    """

    kind: str
    text: str
    broken: bool = True
    images: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """The content of a data set, and its faults.

    Attributes:
        dataset: The data set.
        maps: Number of label maps read.
        pixels: Pixels of each class in the sound maps.
        occurrences: Number of sound maps with each class.
        ignored: Pixels of the sound maps that do not count.
        sound: The samples without a fault.
        findings: Findings about the whole set come first.
    """

    dataset: Dataset
    maps: int
    pixels: tuple[int, ...]
    occurrences: tuple[int, ...]
    ignored: int
    sound: tuple[Sample, ...]
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> bool:
        """Whether numbers measured on the set would mean nothing."""
        return any(finding.broken for finding in self.findings)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each class's share of all pixels read, in [0, 1]; with `ignored_share` they sum to 1."""
        return tuple(count / self._total for count in self.pixels)

    @property
    def ignored_share(self) -> float:
        """Share of all pixels read that do not count, in [0, 1]."""
        return self.ignored / self._total

    def to_dict(self) -> dict[str, Any]:
        """Describe the report in JSON types."""
        columns = zip(self.dataset.names, self.shares, self.occurrences, strict=True)
        return {
            "dataset": self.dataset.name,
            "images": len(self.dataset.samples),
            "published": self.dataset.published,
            "maps": self.maps,
            "broken": self.broken,
            "ignored_share": self.ignored_share,
            "classes": [
                {"index": index, "name": name, "share": share, "maps": maps}
                for index, (name, share, maps) in enumerate(columns)
            ],
            "findings": [asdict(finding) for finding in self.findings],
        }

    @property
    def _total(self) -> int:
        return max(1, sum(self.pixels) + self.ignored)


def check_dataset(
    dataset: Dataset,
    *,
    maps: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetReport:
    """Read label maps and report what is wrong with them.

    Images are not decoded: their sizes come from the headers.

    Args:
        dataset: As a reader opens it.
        maps: Number of label maps to read, spread over the set; None for all.
        progress: Called with maps done and maps in total.

    Raises:
        InputError: `maps` is below 1.
    """
    if maps is not None and maps < 1:
        raise InputError(f"At least 1 label map must be read, not {maps}.")
    chosen = dataset.samples if maps is None else spread(dataset.samples, maps)
    classes = len(dataset.names)
    ignored = ignored_label(label_dtype(classes))
    pixels = np.zeros(ignored + 1, dtype=np.int64)
    occurrences = np.zeros(ignored + 1, dtype=np.int64)
    sound: list[Sample] = []
    faults: list[Finding] = []
    for done, sample in enumerate(chosen, start=1):
        truth = _read(sample, classes)
        if isinstance(truth, Finding):
            faults.append(truth)
        else:
            sound.append(sample)
            counts = np.bincount(truth.ravel(), minlength=ignored + 1)
            pixels += counts
            occurrences += counts > 0
        if progress is not None:
            progress(done, len(chosen))
    count = wrong_count(dataset)
    of_the_set = [count] if count else []
    if sound and len(chosen) == len(dataset.samples):
        of_the_set += _absent(dataset, occurrences[:classes].tolist(), complete=count is None)
    return DatasetReport(
        dataset=dataset,
        maps=len(chosen),
        pixels=tuple(pixels[:classes].tolist()),
        occurrences=tuple(occurrences[:classes].tolist()),
        ignored=int(pixels[ignored]),
        sound=tuple(sound),
        findings=(*of_the_set, *faults),
    )


def spread(items: Sequence[T], count: int) -> tuple[T, ...]:
    """Pick `count` items at even distances, or all of them if there are no more."""
    count = min(count, len(items))
    return tuple(items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count))


def wrong_count(dataset: Dataset) -> Finding | None:
    """Compare the number of images with the published one; None if they agree."""
    found, published = len(dataset.samples), dataset.published
    circulating = SPECS[dataset.name].images if dataset.name in SPECS else ()
    if found in (published, *circulating) or (found and published is None):
        return None
    text = f"{dataset.name} has {found} images here"
    if published is not None:
        text += (
            f", its publisher counts {published}: numbers measured on these cannot be compared "
            "with published ones"
        )
    return Finding("count of images", f"{text}.")


def _absent(dataset: Dataset, occurrences: Sequence[int], *, complete: bool) -> Iterator[Finding]:
    """Report classes that never occur: in a whole published set, ids were mixed up."""
    if any(sample.candidates is not None for sample in dataset.samples):
        return  # candidates may name classes that their image does not show, on purpose
    absent = tuple(index for index, maps in enumerate(occurrences) if maps == 0)
    if absent:
        names = listed([f"{index} ({dataset.names[index]})" for index in absent], most=12)
        published = dataset.published is not None
        broken = published and complete and SPECS[dataset.name].every_class
        text = f"{len(absent)} of {len(dataset.names)} classes occur in no label map: {names}."
        yield Finding("absent class", text, broken=broken, ids=absent)


def _read(sample: Sample, classes: int) -> Truth | Finding:
    """Read one label map and compare it with the classes and with its image."""
    try:
        truth = sample.truth()
        size = _upright_size(sample.image)
    except InputError as error:
        return Finding("unreadable file", str(error), images=(sample.key,))
    if truth.shape != size:
        text = (
            f"{sample.image} has {size[0]} x {size[1]} pixels, its label map "
            f"{' x '.join(map(str, truth.shape))}."
        )
        return Finding("size of a label map", text, images=(sample.key,))
    labels = set(np.unique(truth).tolist()) - {ignored_label(truth.dtype)}
    allowed = range(classes) if sample.candidates is None else sample.candidates
    strange = tuple(sorted(labels.difference(allowed)))
    if not strange:
        return truth
    text = (
        f"The label map of {sample.image} has {listed(strange)}, but it may have "
        f"{f'0 to {classes - 1}' if sample.candidates is None else listed(allowed, most=12)}."
    )
    return Finding("label without a class", text, images=(sample.key,), ids=strange)


def _upright_size(path: Path) -> tuple[int, int]:
    """Read height and width from the header, as they are after turning the image upright."""
    try:
        with open_regular(path) as file, Image.open(file) as picture:
            if picture.format == "TIFF":
                picture.load()  # only now does Pillow turn it
            width, height = picture.size
            return (width, height) if _lies_on_its_side(picture) else (height, width)
    except Exception as error:  # damaged files raise errors of many kinds
        raise InputError(f"Cannot read the image {path}: {error}.") from error


def _lies_on_its_side(picture: Image.Image) -> bool:
    if picture.format == "PNG" and "exif" not in picture.info:
        return False  # Pillow would decode the whole image to look for EXIF after it
    try:
        return picture.getexif().get(ExifTag.Orientation) in _LYING_ORIENTATIONS
    except Exception:  # broken metadata count as missing, as in `lhtclip.image.pixels`
        return False
