"""Where windows lie, against the published arithmetic."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lhtclip.errors import InputError
from lhtclip.image.windows import (
    WindowPlan,
    WindowSettings,
    check_shifts,
    plan_windows,
    shifted_windows,
    window_starts,
)

lengths = st.integers(1, 400)
windows_and_strides = st.integers(1, 120).flatmap(
    lambda window: st.tuples(st.just(window), st.integers(1, window))
)


def published(height: int, width: int, crop: int, stride: int) -> list[tuple[int, int, int, int]]:
    """Return top, bottom, left, right of every window, by the steps of the shared protocol."""
    rows = max(height - crop + stride - 1, 0) // stride + 1
    columns = max(width - crop + stride - 1, 0) // stride + 1
    boxes = []
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            bottom, right = min(top + crop, height), min(left + crop, width)
            top, left = max(bottom - crop, 0), max(right - crop, 0)
            boxes.append((top, bottom, left, right))
    return boxes


def boxes_of(plan: WindowPlan) -> list[tuple[int, int, int, int]]:
    return [
        (top, top + plan.window_height, left, left + plan.window_width)
        for top in plan.tops
        for left in plan.lefts
    ]


@settings(max_examples=50, deadline=None)
@given(lengths, lengths, windows_and_strides)
def test_windows_are_the_published_ones(
    height: int, width: int, window_and_stride: tuple[int, int]
) -> None:
    window, stride = window_and_stride
    plan = plan_windows(height, width, window=window, stride=stride)
    assert boxes_of(plan) == published(height, width, window, stride)
    assert plan.count == len(boxes_of(plan))


@settings(max_examples=50, deadline=None)
@given(lengths, windows_and_strides)
def test_windows_cover_an_axis_and_end_with_it(
    length: int, window_and_stride: tuple[int, int]
) -> None:
    window, stride = window_and_stride
    starts = window_starts(length, window=window, stride=stride)
    covered = np.zeros(length, dtype=bool)
    for start in starts:
        covered[start : start + window] = True
    assert covered.all()
    assert starts[0] == 0
    assert starts[-1] + min(window, length) == length
    assert list(starts) == sorted(set(starts))
    assert all(b - a <= stride for a, b in pairwise(starts))


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (336, 448, 2, 3),  # 500 × 375 at short side 336
        (560, 1120, 4, 9),  # Cityscapes at 560
        (448, 597, 3, 5),  # COCO at 448
        (224, 224, 1, 1),
        (224, 225, 1, 2),
        (100, 448, 1, 3),
    ],
)
def test_known_counts(height: int, width: int, rows: int, columns: int) -> None:
    plan = plan_windows(height, width, window=224, stride=112)
    assert (len(plan.tops), len(plan.lefts)) == (rows, columns)
    assert plan.count == rows * columns


def test_last_window_is_shifted_inwards() -> None:
    assert window_starts(448, window=224, stride=112) == (0, 112, 224)
    assert window_starts(450, window=224, stride=112) == (0, 112, 224, 226)
    assert window_starts(200, window=224, stride=112) == (0,)


def test_small_image_is_one_small_window() -> None:
    assert plan_windows(30, 50, window=64, stride=32) == WindowPlan(30, 50, (0,), (0,), 30, 50)
    assert plan_windows(30, 90, window=64, stride=32) == WindowPlan(30, 90, (0,), (0, 26), 30, 64)


def test_whole_image() -> None:
    assert plan_windows(90, 70, window=None, stride=32) == WindowPlan(90, 70, (0,), (0,), 90, 70)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60))
def test_cut_takes_the_windows_row_by_row(height: int, width: int) -> None:
    plan = plan_windows(height, width, window=24, stride=10)
    pixels = torch.arange(2 * height * width).reshape(2, height, width)
    cut = plan.cut(pixels)
    assert cut.shape == (plan.count, 2, plan.window_height, plan.window_width)
    for window, (top, bottom, left, right) in zip(
        cut, published(height, width, 24, 10), strict=True
    ):
        assert torch.equal(window, pixels[:, top:bottom, left:right])


def test_a_patch_has_as_many_positions_as_pixels() -> None:
    check_shifts(16, patch=16)
    with pytest.raises(InputError, match=r"1000 shifts .* from 1 to 16"):
        check_shifts(1000, patch=16)


def test_stride_must_not_leave_gaps() -> None:
    with pytest.raises(InputError, match=r"stride of 112 pixels leaves gaps .* from 1 to 64"):
        plan_windows(336, 448, window=64, stride=112)


def test_windows_at_once_by_device() -> None:
    by_device = WindowSettings()
    assert by_device.at_once("cpu") < by_device.at_once("cuda") == by_device.at_once("mps")
    assert WindowSettings(batch=3).at_once("cpu") == WindowSettings(batch=3).at_once("cuda") == 3


@pytest.mark.parametrize(
    ("size", "window", "shifts", "expected"),
    [
        ((64, 96), 48, 2, ((0, 8, 16), (0, 8, 32, 40, 48), 48, 48)),
        ((48, 64), 48, 4, ((0, 4, 8, 12), (0, 4, 8, 12, 16), 36, 48)),  # one window fills a side
        ((64, 64), None, 2, ((0, 8), (0, 8), 56, 56)),
        ((16, 40), 48, 4, ((0,), (0, 4, 8, 12), 16, 28)),  # a patch is the least
    ],
)
def test_shifted_windows(
    size: tuple[int, int],
    window: int | None,
    shifts: int,
    expected: tuple[tuple[int, ...], tuple[int, ...], int, int],
) -> None:
    plan = plan_windows(*size, window=window, stride=32)
    moved = shifted_windows(plan, shifts=shifts, patch=16)
    assert (moved.tops, moved.lefts, moved.window_height, moved.window_width) == expected
    assert (moved.height, moved.width) == size
