"""Labels a whole data set and counts; an interrupted run ends with the same counts.

Images are labelled in fixed chunks, and the counts are saved between chunks. So the batches, and
with them the last bit of every logit, are the same with and without an interruption.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.batch.chunks import Shard
from lhtclip.datasets.dataset import Dataset, Sample, Truth
from lhtclip.datasets.samples import check_vocabulary, choose_samples, labels_of_set
from lhtclip.errors import InputError, reason_of
from lhtclip.evaluation.confusion import Confusion, Labels, confusion_matrix, iou_per_class
from lhtclip.evaluation.fingerprint import decisive_settings
from lhtclip.evaluation.sources import check_unchanged, digest_of, files_of
from lhtclip.evaluation.state import Counts, Tally, start_over
from lhtclip.evaluation.streaming import count_samples
from lhtclip.evaluation.trimap import in_band
from lhtclip.files import locks, write_atomically
from lhtclip.image.files import HIDDEN
from lhtclip.output.palette import class_colours
from lhtclip.output.png import encode_labels
from lhtclip.segmentation import Segmentation, ignored_label, label_dtype
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Running:
    """The progress of a run.

    Attributes:
        done: Number of images done, including earlier sessions.
        total: Number of images.
        already: Images of earlier sessions.
        mean_iou: So far, in [0, 1]; NaN before the first pixel is counted.
    """

    done: int
    total: int
    already: int
    mean_iou: float


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The result of a run.

    Attributes:
        dataset: The images of the run, in order.
        confusion: Over all classes of the data set.
        trimap: The same for the band along true boundaries; None if it was not requested.
        image_iou: By key, each image's mean IoU over the classes in its ground truth; NaN if none
            of its pixels counts.
        seconds: From the first image to the last, summed over sessions, without lost work.
        settings: What decided the counts, in JSON types; empty for a run without a folder.
    """

    dataset: Dataset
    confusion: Confusion
    trimap: Confusion | None
    image_iou: Mapping[str, float]
    seconds: float
    settings: Mapping[str, Any]

    @property
    def images(self) -> int:
        """Number of counted images."""
        return len(self.dataset.samples)

    @property
    def images_per_second(self) -> float:
        """Speed of the whole run, including reading and counting."""
        return self.images / max(self.seconds, 1e-9)


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    vocabulary: Vocabulary,
    *,
    folder: Path | None = None,
    workers: int = 2,
    chunk: int = 8,
    trimap: int = 0,
    predictions: bool = False,
    overwrite: bool = False,
    shard: Shard | None = None,
    progress: Callable[[Running], None] | None = None,
) -> Evaluation:
    """Label the images of a data set and compare the labels with the ground truth.

    Args:
        segmenter: The segmenter.
        dataset: The images; an image with candidates is labelled with these only.
        vocabulary: The prompts, an entry for each class of the data set.
        folder: Keeps the counts, `<data set>.confusion.npz`, from which an interrupted run
            continues. None keeps nothing.
        workers: Threads that read images ahead and count behind; they do not change the counts.
        chunk: Images per chunk, which is the most that is lost when a run is killed.
        trimap: Half the width of the band along true boundaries in pixels; 0 for none.
        predictions: Write labels into the folder, `<data set>/<key>.png`.
        overwrite: Start over, whatever the folder holds.
        shard: Only this share of the images, in whole chunks; `merge_evaluations` adds them up.
        progress: Called before the first image and after each.

    Raises:
        InputError: An image or its ground truth is missing or broken, they do not match, or the
            folder has counts of other settings or files. Earlier counts stay in the folder.
    """
    _check(folder, workers=workers, chunk=chunk, trimap=trimap, predictions=predictions)
    whole = choose_samples(dataset)
    check_vocabulary(whole, vocabulary)
    dataset = replace(whole, samples=_share(whole.samples, shard, chunk)) if shard else whole
    tally, settings = Tally(dataset.names, with_trimap=trimap > 0), dict[str, Any]()
    keys = [sample.key for sample in dataset.samples]

    def written(sample: Sample) -> list[Path]:
        wanted = folder if predictions else None
        return [] if wanted is None else [prediction_file(wanted, dataset, sample)]

    if folder is not None:
        settings = decisive_settings(
            segmenter, whole, vocabulary, chunk=chunk, trimap=trimap, predictions=predictions
        )
        if overwrite:
            _remove(folder, dataset, shard)
        elif counts_file(folder, dataset.name, shard).exists():
            file = counts_file(folder, dataset.name, shard)
            tally = Tally.load(file, settings=settings)
            counted = dataset.samples[: tally.images]
            check_unchanged(
                keys[: tally.images],
                [files_of(sample) + written(sample) for sample in counted],
                tally.sources,
                remedy=start_over(file),
            )

    def count(sample: Sample, truth: Truth, result: Segmentation) -> Counts:
        labels = labels_of_set(sample, result.labels)
        for file in written(sample):
            _write_labels(file, labels, vocabulary)
        files = (*files_of(sample), *written(sample))
        return _count(sample, truth, labels, files, classes=len(dataset.names), trimap=trimap)

    already, before, start = tally.images, tally.seconds, time.perf_counter()

    def report() -> None:
        if progress is not None:
            progress(Running(tally.images, len(keys), already, tally.confusion.mean_iou))

    def save() -> None:
        if folder is not None:
            file = counts_file(folder, dataset.name, shard)
            tally.save(file, keys=keys, settings=settings)

    report()
    if not keys:  # of a shard that has no share
        save()
    for counts in count_samples(
        segmenter, dataset.samples[already:], vocabulary, count, chunk=chunk, workers=workers
    ):
        tally.add(counts)
        tally.seconds = before + time.perf_counter() - start
        if tally.images % chunk == 0 or tally.images == len(keys):
            save()
        report()
    return Evaluation(
        dataset=dataset,
        confusion=tally.confusion,
        trimap=tally.trimap,
        image_iou=dict(zip(keys, tally.image_iou, strict=True)),
        seconds=tally.seconds,
        settings=settings,
    )


def counts_file(folder: Path, dataset: str, shard: Shard | None = None) -> Path:
    """Return the file of a data set's counts, or of those of a shard."""
    if shard is None:
        return folder / f"{dataset}.confusion.npz"
    return shards_folder(folder) / dataset / f"{shard.number}-of-{shard.count}.npz"


def shards_folder(folder: Path) -> Path:
    """Return where shards leave their counts, in a folder for each data set."""
    return folder / HIDDEN / "evaluations"


@contextmanager
def locked_counts(
    folder: Path, dataset: str, shard: Shard | None = None
) -> Generator[None, None, None]:
    """Keep other processes from counting the same data set, or share of it, into a folder.

    Raises:
        OutputError: One does.
        InputError: The folder cannot be written to.
    """
    file = shards_folder(folder) / f"{dataset}.lock"
    if shard is not None:
        file = counts_file(folder, dataset, shard).with_suffix(".lock")
    busy = (
        f"Another run is counting {dataset} into {folder}. Choose another folder (--out), or wait "
        "for it."
    )
    with locks.locked(file, busy=busy):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps files that are open; folders may hold more
                file.unlink()
                shards_folder(folder).rmdir()
                (folder / HIDDEN).rmdir()


def prediction_file(folder: Path, dataset: Dataset, sample: Sample) -> Path:
    """Return the file of an image's labels."""
    return folder / dataset.name / f"{sample.key}.png"


def _check(
    folder: Path | None, *, workers: int, chunk: int, trimap: int, predictions: bool
) -> None:
    for name, value, least in (("workers", workers, 1), ("chunk", chunk, 1), ("trimap", trimap, 0)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, not {value}.")
    if predictions and folder is None:
        raise InputError("Predictions need a folder: give one.")


def _share(samples: Sequence[Sample], shard: Shard, chunk: int) -> tuple[Sample, ...]:
    chunks = [samples[start : start + chunk] for start in range(0, len(samples), chunk)]
    return tuple(sample for part in shard.of(chunks) for sample in part)


def _count(
    sample: Sample,
    truth: Truth,
    labels: Labels,
    files: tuple[Path, ...],
    *,
    classes: int,
    trimap: int,
) -> Counts:
    ignored = ignored_label(truth.dtype)
    try:
        matrix = confusion_matrix(truth, labels, classes=classes, ignored=ignored)
    except InputError as error:
        raise InputError(f"The ground truth of {sample.image} cannot be used. {error}") from error
    band = None
    if trimap > 0:
        near = in_band(truth, radius=trimap)
        band = confusion_matrix(near, labels, classes=classes, ignored=ignored)
    return Counts(matrix, band, _mean_iou_of_present(matrix), files, digest_of(files))


def _mean_iou_of_present(matrix: NDArray[np.int64]) -> float:
    """Mean IoU over the classes of the ground truth: a stray pixel adds no class of IoU 0."""
    values = iou_per_class(matrix)[matrix.sum(axis=1) > 0]
    return float(values.mean()) if values.size else float("nan")


def _write_labels(path: Path, labels: Labels, vocabulary: Vocabulary) -> None:
    classes = len(vocabulary.names)
    colours = class_colours(classes, background=vocabulary.background)
    write_atomically(path, encode_labels(labels.astype(label_dtype(classes)), colours))


def _remove(folder: Path, dataset: Dataset, shard: Shard | None) -> None:
    """Drop old results first; old ones among new ones would look like a finished run."""
    if shard is None:
        shutil.rmtree(shards_folder(folder) / dataset.name, ignore_errors=True)
    old = [prediction_file(folder, dataset, sample) for sample in dataset.samples]
    for path in (counts_file(folder, dataset.name, shard), *old):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"Cannot replace {path}: {reason_of(error)}.") from error
