"""Estimate how far a mean IoU would change with other scenes, by bootstrap resampling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lhtclip.datasets.dataset import Dataset, Sample, Truth
from lhtclip.datasets.samples import labels_of_set, own_vocabulary
from lhtclip.evaluation.confusion import confusion_matrix
from lhtclip.evaluation.streaming import count_samples
from lhtclip.segmentation import Segmentation, ignored_label
from lhtclip.segmenter import Segmenter

Floats = NDArray[np.float64]
RESAMPLES = 1000


def scene_counts(segmenter: Segmenter, dataset: Dataset) -> Iterator[NDArray[np.int64]]:
    """Yield for each scene the pixels in intersection and union of each class, (2, classes)."""

    def count(sample: Sample, truth: Truth, result: Segmentation) -> NDArray[np.int64]:
        matrix = confusion_matrix(
            truth,
            labels_of_set(sample, result.labels),
            classes=len(dataset.names),
            ignored=ignored_label(truth.dtype),
        )
        right = np.diag(matrix)
        return np.stack([right, matrix.sum(axis=0) + matrix.sum(axis=1) - right])

    vocabulary = own_vocabulary(dataset)
    yield from count_samples(segmenter, dataset.samples, vocabulary, count, chunk=8, workers=1)


def resampled_mean_iou(counts: NDArray[np.int64]) -> Floats:
    """Return the mIoU in % of all scenes, then of resamples of them, with replacement.

    Equal numbers of scenes are resampled alike, so that differences may be taken.

    Args:
        counts: (scenes, 2, classes), as from `scene_counts`.
    """
    scenes = len(counts)
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(scenes, np.full(scenes, 1 / scenes), size=RESAMPLES)
    weights = np.concatenate([np.ones((1, scenes)), drawn])
    right, union = (weights @ counts[:, part].astype(float) for part in (0, 1))
    iou = np.divide(right, union, out=np.full_like(right, np.nan), where=union > 0)
    return 100 * np.nanmean(iou, axis=1)


def interval(values: Floats) -> tuple[float, float, float]:
    """Return the value of all scenes and the bounds of 95 % of the resamples."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return float(values[0]), float(low), float(high)
