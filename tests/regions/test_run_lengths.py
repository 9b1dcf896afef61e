"""Run lengths against pycocotools, which is what readers use."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from lhtclip.regions.components import components_of
from lhtclip.regions.run_lengths import (
    counts_of_components,
    counts_of_mask,
    text_of_mask,
    texts_of_components,
    texts_of_labels,
)
from lhtclip.regions.runs import runs_of
from tests.filled import fill_runs
from tests.regions.label_maps import SHAPES, blobs, label_maps


def theirs(mask: np.ndarray) -> str:
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


@given(arrays.arrays(np.bool_, SHAPES))
def test_texts_of_masks_are_the_coco_apis(mask: np.ndarray) -> None:
    assert text_of_mask(mask) == theirs(mask)
    np.testing.assert_array_equal(fill_runs(counts_of_mask(mask).tolist(), mask.shape), mask)


def test_long_runs_need_several_characters() -> None:
    mask = np.zeros((3000, 2000), np.bool_)
    mask[10:2990, 3:1999] = True
    mask[5, 5] = mask[-1, -1] = True
    assert text_of_mask(mask) == theirs(mask)


@given(label_maps())
def test_texts_of_components_are_those_of_their_masks(labels: np.ndarray) -> None:
    components = components_of(labels)
    numbers = components.map()
    masks = [numbers == index for index in range(len(components))]
    assert texts_of_components(components) == [theirs(mask) for mask in masks]
    for counts, mask in zip(counts_of_components(components), masks, strict=True):
        np.testing.assert_array_equal(fill_runs(counts.tolist(), mask.shape), mask)


def test_texts_of_classes_include_absent_ones_and_leave_out_ignored() -> None:
    labels = blobs(40, 30, 4, seed=1)
    labels[:3] = 255
    labels[labels == 2] = 0
    assert texts_of_labels(runs_of(labels), 5) == [theirs(labels == index) for index in range(5)]
