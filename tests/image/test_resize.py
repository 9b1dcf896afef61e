"""The resize is OpenCV's, bit for bit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lhtclip import InputError, WindowSettings
from lhtclip.image.pixels import to_pixels
from lhtclip.image.resize import resize_levels
from lhtclip.segmenter.windows import plan_scales

sides = st.integers(1, 300)


def by_opencv(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR).reshape(*size, 3)


def by_us(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    levels = torch.from_numpy(image).permute(2, 0, 1)
    return resize_levels(levels, size).permute(1, 2, 0).numpy()


@given(height=sides, width=sides, to_height=sides, to_width=sides, seed=st.integers(0, 99))
def test_any_size_becomes_any_other(
    height: int, width: int, to_height: int, to_width: int, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    size = (to_height, to_width)
    np.testing.assert_array_equal(by_us(image, size), by_opencv(image, size))


@pytest.mark.parametrize(
    ("source", "target"),
    [((375, 500), (336, 448)), ((640, 480), (320, 240)), ((1500, 2000), (336, 448))],
    ids=["VOC", "halved", "photo"],
)
def test_sizes_of_the_evaluations(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*source, 3), dtype=np.uint8)
    np.testing.assert_array_equal(by_us(image, target), by_opencv(image, target))


def test_a_segmenter_resizes_in_this_way_if_asked_to() -> None:
    image = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    planned = plan_scales(image, WindowSettings(resize="opencv"), patch=16)[0]
    size, off = (planned.plan.height, planned.plan.width), {"mean": (0, 0, 0), "std": (1, 1, 1)}
    exact = to_pixels(image, size, resize=planned.plan.resize, **off).permute(1, 2, 0) * 255
    np.testing.assert_array_equal(exact.round().byte().numpy(), by_opencv(image, size))
    with pytest.raises(InputError, match="opencv"):
        WindowSettings(resize="open-cv")
