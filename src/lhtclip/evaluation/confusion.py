"""Confusion matrices and their measures; matrices of parts of a data set add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lhtclip.errors import InputError

Labels = npt.NDArray[np.integer[Any]]


def confusion_matrix(
    truth: Labels, predicted: Labels, *, classes: int, ignored: int | None = 255
) -> npt.NDArray[np.int64]:
    """Count pixels by true class (rows) and predicted class (columns).

    Args:
        truth: Class indices, of any shape.
        predicted: Class indices of the same shape.
        classes: Number of classes.
        ignored: Pixels with this value in `truth` do not count; None counts all.

    Returns:
        (classes, classes) int64.

    Raises:
        InputError: Shapes differ, or a counted pixel is not a class index.
    """
    if truth.shape != predicted.shape:
        raise InputError(
            f"The true labels have shape {truth.shape} and the predicted ones {predicted.shape}; "
            "both must cover the same pixels."
        )
    counted = np.ones(truth.shape, dtype=np.bool_) if ignored is None else truth != ignored
    rows, columns = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    for name, values in (("true", rows), ("predicted", columns)):
        if values.size and not (values.min() >= 0 and values.max() < classes):
            raise InputError(
                f"The {name} labels run from {values.min()} to {values.max()}, but there are only "
                f"{classes} classes, counted from 0."
            )
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)


def iou_per_class(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Intersection over union (classes,) in [0, 1]; NaN for classes that never occur."""
    intersection = np.diag(matrix).astype(np.float64)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix)
    return np.divide(intersection, union, out=np.full(len(matrix), np.nan), where=union > 0)


def mean_iou(matrix: npt.NDArray[np.int64]) -> float:
    """Mean of `iou_per_class` over the classes that occur, in [0, 1]; NaN if none does."""
    values = iou_per_class(matrix)
    occurring = values[~np.isnan(values)]
    return float(occurring.mean()) if occurring.size else float("nan")


def pixel_accuracy(matrix: npt.NDArray[np.int64]) -> float:
    """Share of the counted pixels that are right, in [0, 1]; NaN if none counts."""
    total = int(matrix.sum())
    return int(np.trace(matrix)) / total if total else float("nan")


class Confusion:
    """A confusion matrix that grows image by image.

    `matrix` counts pixels by true class (rows) and predicted class (columns), int64.
    """

    def __init__(self, names: Sequence[str], *, ignored: int | None = 255) -> None:
        """Start from zero.

        Args:
            names: Name of each class, in the order of the indices.
            ignored: True label of pixels that do not count.
        """
        self.names = tuple(names)
        self.ignored = ignored
        self.matrix = np.zeros((len(self.names), len(self.names)), dtype=np.int64)

    def add(self, truth: Labels, predicted: Labels) -> None:
        """Count the pixels of one image; arguments and errors as for `confusion_matrix`."""
        self.matrix += confusion_matrix(
            truth, predicted, classes=len(self.names), ignored=self.ignored
        )

    def __add__(self, other: Confusion) -> Confusion:
        """Merge the counts of two parts of a data set.

        Raises:
            InputError: Their classes differ.
        """
        if self.names != other.names:
            raise InputError("Only confusion matrices of the same classes can be merged.")
        merged = Confusion(self.names, ignored=self.ignored)
        merged.matrix = self.matrix + other.matrix
        return merged

    @property
    def iou(self) -> dict[str, float]:
        """Intersection over union of each class in [0, 1]; NaN if it never occurs."""
        return dict(zip(self.names, iou_per_class(self.matrix).tolist(), strict=True))

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur, in [0, 1]."""
        return mean_iou(self.matrix)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the counted pixels that are right, in [0, 1]."""
        return pixel_accuracy(self.matrix)
