"""Run lengths against pycocotools, which is what readers use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from lhtclip.regions.components import Components, classes_of, components_of
from lhtclip.regions.run_lengths import counts_of_components, texts_of_components
from tests.filled import fill_runs
from tests.regions.label_maps import label_maps


def theirs(mask: np.ndarray) -> str:
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


def test_long_runs_need_several_characters() -> None:
    mask = np.zeros((3000, 2000), np.bool_)
    mask[10:2990, 3:1999] = True
    mask[5, 5] = mask[-1, -1] = True
    texts = texts_of_components(classes_of(mask.view(np.uint8)))
    assert texts == [theirs(~mask), theirs(mask)]


@given(label_maps(), st.sampled_from([classes_of, components_of]))
def test_texts_are_those_of_the_coco_api(
    labels: np.ndarray, of: Callable[[np.ndarray], Components]
) -> None:
    components = of(labels)
    numbers = components.map()
    masks = [numbers == index for index in range(len(components))]
    assert texts_of_components(components) == [theirs(mask) for mask in masks]
    for counts, mask in zip(counts_of_components(components), masks, strict=True):
        np.testing.assert_array_equal(fill_runs(counts.tolist(), mask.shape), mask)
