"""Random label maps, from noise to blobs, for tests of the regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)


def label_maps(classes: int = 3) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    """Small label maps (height, width) with many corners that touch."""
    return arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, classes - 1))


def blobs(height: int, width: int, classes: int, *, seed: int) -> np.ndarray[Any, Any]:
    """A label map with regions of many sizes, holes among them."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, classes, (height // 4 + 1, width // 4 + 1))
    labels = coarse.repeat(4, 0).repeat(4, 1)[:height, :width]
    noise = random.random((height, width)) < 0.1
    return np.where(noise, random.integers(0, classes, (height, width)), labels).astype(np.uint8)
