"""How far a mean IoU would have moved with other scenes: scenes drawn again, with replacement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lhtclip.datasets.scene_files import Scene
from lhtclip.evaluation.scenes import new_confusion, segment_scenes
from lhtclip.segmenter import Segmenter

Floats = NDArray[np.float64]
RESAMPLES = 1000


def scene_counts(segmenter: Segmenter, scenes: Sequence[Scene]) -> Iterator[NDArray[np.int64]]:
    """Yield of each scene the pixels in intersection and union of each class, (2, classes)."""
    for result in segment_scenes(segmenter, scenes):
        confusion = new_confusion(scenes)
        result.count_in(confusion)
        matrix = confusion.matrix
        right = np.diag(matrix)
        yield np.stack([right, matrix.sum(axis=0) + matrix.sum(axis=1) - right])


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
