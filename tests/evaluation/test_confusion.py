from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lhtclip.errors import InputError
from lhtclip.evaluation.confusion import (
    Confusion,
    confusion_matrix,
    iou_per_class,
    mean_iou,
    pixel_accuracy,
)


def random_maps(
    seed: int, *, classes: int = 5, share_ignored: float = 0.2
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, (30, 40), dtype=np.uint8)
    predicted = np.where(
        generator.random((30, 40)) < 0.5,
        truth,
        generator.integers(0, classes, (30, 40), dtype=np.uint8),
    )
    truth[generator.random((30, 40)) < share_ignored] = 255
    return truth, predicted


@pytest.mark.parametrize("seed", range(5))
def test_iou_is_that_of_torchmetrics(seed: int) -> None:
    from torchmetrics.classification import MulticlassJaccardIndex

    truth, predicted = random_maps(seed)
    oracle = MulticlassJaccardIndex(5, ignore_index=255, average="none")
    expected = oracle(torch.from_numpy(predicted).long(), torch.from_numpy(truth).long())
    matrix = confusion_matrix(truth, predicted, classes=5)
    np.testing.assert_allclose(iou_per_class(matrix), expected.numpy(), rtol=1e-6)
    assert mean_iou(matrix) == pytest.approx(float(expected.mean()), rel=1e-6)


def test_pictures_add_up_as_in_torchmetrics() -> None:
    """171 classes, some of which nowhere occur, over pictures of different sizes."""
    from torchmetrics.classification import MulticlassJaccardIndex

    oracle = MulticlassJaccardIndex(171, ignore_index=-1, average="none")
    confusion = Confusion([str(index) for index in range(171)], ignored=-1)
    generator = np.random.default_rng(0)
    for height, width in ((20, 30), (31, 17), (1, 1)):
        truth = generator.integers(-1, 160, (height, width), dtype=np.int16)
        predicted = np.where(generator.random(truth.shape) < 0.5, truth, 7).clip(0)
        confusion.add(truth, predicted)
        oracle.update(torch.from_numpy(predicted).long(), torch.from_numpy(truth).long())
    found = np.array(list(confusion.iou.values()))
    occurs = ~np.isnan(found)
    assert 100 < occurs.sum() < 171
    np.testing.assert_allclose(found[occurs], oracle.compute().numpy()[occurs], rtol=1e-6)
    assert confusion.mean_iou == pytest.approx(found[occurs].mean())


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([0.0, 0.3, 1.0]))
def test_everything_is_as_counted_by_hand(seed: int, classes: int, share_ignored: float) -> None:
    truth, predicted = random_maps(seed, classes=classes, share_ignored=share_ignored)
    matrix = confusion_matrix(truth, predicted, classes=classes)
    counted = truth != 255
    assert matrix.dtype == np.int64
    assert matrix.sum() == counted.sum()
    for row in range(classes):
        in_truth, found = (truth == row) & counted, (predicted == row) & counted
        for column in range(classes):
            assert matrix[row, column] == (in_truth & (predicted == column)).sum()
        union = (in_truth | found).sum()
        value = iou_per_class(matrix)[row]
        if union:
            assert value == (in_truth & found).sum() / union
        else:
            assert math.isnan(value)
    right = (truth == predicted)[counted]
    if right.size:
        assert pixel_accuracy(matrix) == pytest.approx(right.mean())
    else:
        assert math.isnan(pixel_accuracy(matrix))
        assert math.isnan(mean_iou(matrix))


def test_a_class_that_nowhere_occurs_does_not_count() -> None:
    truth = np.array([0, 0, 2, 255])
    predicted = np.array([0, 2, 2, 1])
    values = iou_per_class(confusion_matrix(truth, predicted, classes=4))
    np.testing.assert_array_equal(values, [0.5, np.nan, 0.5, np.nan])
    assert mean_iou(confusion_matrix(truth, predicted, classes=4)) == 0.5


def test_a_class_that_is_only_found_counts_as_zero() -> None:
    values = iou_per_class(confusion_matrix(np.array([0, 0]), np.array([0, 1]), classes=2))
    np.testing.assert_array_equal(values, [0.5, 0])


def test_parts_merge_by_addition() -> None:
    whole, first, second = (Confusion("abcde") for _ in range(3))
    for index, part in enumerate([first, first, second]):
        truth, predicted = random_maps(index)
        whole.add(truth, predicted)
        part.add(truth, predicted)
    merged = first + second
    np.testing.assert_array_equal(merged.matrix, whole.matrix)
    assert merged.mean_iou == whole.mean_iou == pytest.approx(np.mean(list(whole.iou.values())))
    assert merged.pixel_accuracy == pixel_accuracy(whole.matrix)
    assert list(merged.iou) == list("abcde")
    with pytest.raises(InputError, match="same classes"):
        _ = first + Confusion("abcd")


def test_nothing_is_ignored_unless_asked() -> None:
    matrix = confusion_matrix(np.array([0, 1]), np.array([1, 1]), classes=2, ignored=None)
    np.testing.assert_array_equal(matrix, [[0, 1], [0, 1]])
    with pytest.raises(InputError, match="255"):
        confusion_matrix(np.array([255]), np.array([0]), classes=2, ignored=None)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 1], [0], "shape"),
        ([0, 5], [0, 0], "true labels run from 0 to 5"),
        ([0, -2], [0, 0], "true labels run from -2"),
        ([0, 0], [0, 5], "predicted labels run from 0 to 5"),
        ([0, 0], [0, 255], "predicted labels"),
    ],
)
def test_labels_that_cannot_be(truth: list[int], predicted: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        confusion_matrix(np.array(truth), np.array(predicted), classes=5)


def test_a_wrong_label_where_the_truth_is_ignored_does_no_harm() -> None:
    matrix = confusion_matrix(np.array([255, 0]), np.array([99, 0]), classes=1)
    np.testing.assert_array_equal(matrix, [[1]])
