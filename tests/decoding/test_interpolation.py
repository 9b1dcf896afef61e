"""The linear part of decoding as matrices, and the memory that this saves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lhtclip.decoding.decode import decode
from lhtclip.decoding.interpolation import axis_matrix, bilinear_matrix, plan_axis
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.image.windows import plan_windows
from tests.held import Held


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60))
def test_bilinear_matrix_is_interpolate(source: int, target: int) -> None:
    unit = torch.eye(source, dtype=torch.float64)[None]
    expected = F.interpolate(unit, size=target, mode="linear", align_corners=False)[0].T
    torch.testing.assert_close(bilinear_matrix(source, target), expected, rtol=0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(1, 6))
def test_axis_matrix_averages(resized: int, original: int, window: int, grid: int) -> None:
    plan = plan_windows(resized, resized, window=window, stride=max(1, window // 2))
    matrix = axis_matrix(plan.tops, plan.window_height, resized, grid, original)
    assert matrix.shape == (original, len(plan.tops) * grid)
    assert matrix.min() >= 0
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(original))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(1, 6), st.data())
def test_a_band_is_all_that_pixels_need(
    resized: int, original: int, window: int, grid: int, data: st.DataObject
) -> None:
    plan = plan_windows(resized, resized, window=window, stride=max(1, window // 2))
    options = (plan.tops, plan.window_height, resized, grid, original)
    axis = plan_axis(*options)
    assert torch.equal(axis.matrix, axis_matrix(*options)[:, axis.order])
    first = data.draw(st.integers(0, original - 1))
    pixels = slice(first, data.draw(st.integers(first + 1, original)))
    band = axis.band(pixels)
    assert axis.matrix[pixels, band].count_nonzero() == axis.matrix[pixels].count_nonzero()
    assert axis.matrix[pixels, band.start].any()
    assert axis.matrix[pixels, band.stop - 1].any()


def test_bands_are_narrow_where_windows_overlap() -> None:
    plan = plan_windows(336, 448, window=224, stride=112)
    axis = plan_axis(plan.lefts, 224, 448, 14, 640)
    patches = [axis.band(slice(left, left + 64)) for left in range(0, 640, 64)]
    assert max(band.stop - band.start for band in patches) <= 10  # 64 pixels: 5 of two windows


def test_memory_of_coco_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """113 prompts on 480 × 640 pixels, 81 classes: one plane per prompt would be 139 MB already."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)  # each takes a tile
    plan = plan_windows(336, 448, window=224, stride=112)
    generator = torch.Generator().manual_seed(0)
    logits = torch.rand(len(plan.tops), len(plan.lefts), 14, 14, 113, generator=generator) / 2
    class_of_query = (0,) * 33 + tuple(range(1, 81))
    how = DecodeSettings(threshold=0.1, area_threshold=0.001)
    with Held() as held:
        labels, _ = decode(logits, plan, (480, 640), class_of_query, 81, how)
    assert len(set(labels.flat)) > 60
    assert 5e6 < held.peak < 50e6


def test_memory_would_be_counted() -> None:
    with Held() as held:
        two = [torch.ones(1000), torch.ones(1000)]
        view = two[0][:10]
        del two
        torch.ones(1500)
    assert held.peak == 4 * 2500
    assert len(view) == 10
