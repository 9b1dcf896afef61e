"""From RGB levels to the pixels CLIP expects."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from lhtclip.errors import InputError
from lhtclip.image.pixels import resized_shape, to_pixels


def photo(height: int = 5, width: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((480, 640), 336, (336, 448)),
        ((375, 500), 336, (336, 448)),
        ((1024, 2048), 560, (560, 1120)),
        ((100, 10000), 336, (20, 2048)),  # the long side binds
        ((1, 100000), 336, (1, 2048)),  # never below one pixel
        ((333, 500), 336, (336, 505)),  # 504.5045 rounds up
    ],
)
def test_resized_shape(size: tuple[int, int], short_side: int, expected: tuple[int, int]) -> None:
    assert resized_shape(*size, short_side=short_side) == expected


@given(
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
    short_side=st.integers(1, 1024),
    long_side=st.integers(1, 4096),
)
def test_resized_shape_properties(height: int, width: int, short_side: int, long_side: int) -> None:
    sides = {"short_side": short_side, "long_side": long_side}
    new_height, new_width = resized_shape(height, width, **sides)
    assert resized_shape(width, height, **sides) == (new_width, new_height)
    assert min(new_height, new_width) >= 1
    assert min(new_height, new_width) <= short_side
    assert max(new_height, new_width) <= long_side
    at_bound = min(new_height, new_width) == short_side or max(new_height, new_width) == long_side
    assert at_bound
    factor = min(short_side / min(height, width), long_side / max(height, width))
    assert abs(new_height - max(1, height * factor)) <= 0.5 + 1e-6
    assert abs(new_width - max(1, width * factor)) <= 0.5 + 1e-6


@pytest.mark.parametrize("side", [0, -3])
def test_resized_shape_refuses_sides_below_one(side: int) -> None:
    with pytest.raises(InputError, match="at least 1 pixel"):
        resized_shape(4, 5, short_side=side)


def literal_bilinear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear resampling pixel by pixel, sample points as OpenCV places them."""

    def taps(old: int, new: int, place: int) -> tuple[int, int, float]:
        source = min(max((place + 0.5) * old / new - 0.5, 0), old - 1)
        first = int(source)
        return first, min(first + 1, old - 1), source - first

    result = np.empty((*size, 3))
    for row in range(size[0]):
        top, bottom, down = taps(image.shape[0], size[0], row)
        for column in range(size[1]):
            left, right, across = taps(image.shape[1], size[1], column)
            upper = (1 - across) * image[top, left] + across * image[top, right]
            lower = (1 - across) * image[bottom, left] + across * image[bottom, right]
            result[row, column] = (1 - down) * upper + down * lower
    return result


to_levels = partial(to_pixels, mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 99),
)
def test_to_pixels_is_bilinear_rounded_to_levels(
    shape: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    image = photo(*shape, seed)
    levels = to_levels(image, size).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    np.testing.assert_allclose(levels, literal_bilinear(image, size), atol=0.5 + 1e-3)


def test_to_pixels_normalises_without_resampling_when_the_size_is_right() -> None:
    image = photo()
    pixels = to_pixels(image, (5, 7), mean=CLIP_MEAN, std=CLIP_STD)
    expected = (image / 255 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)
    np.testing.assert_allclose(pixels.permute(1, 2, 0).numpy(), expected, atol=1e-6)
    assert pixels.dtype == torch.float32


def test_to_pixels_casts_at_the_end_and_leaves_the_image_alone() -> None:
    image = photo()
    before = image.copy()
    image.flags.writeable = False
    whole = to_pixels(image, (3, 4), mean=CLIP_MEAN, std=CLIP_STD)
    half = to_pixels(image, (3, 4), mean=CLIP_MEAN, std=CLIP_STD, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, whole.to(torch.bfloat16))
    np.testing.assert_array_equal(image, before)
