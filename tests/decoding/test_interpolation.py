"""The linear part of decoding as matrices, and the memory that this saves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lhtclip.decoding.interpolation import axis_matrix, bilinear_matrix, plan_axis
from lhtclip.image.windows import plan_windows


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


PROGRAM = """
import torch
from lhtclip.decoding.decode import DecodeSettings, decode
from lhtclip.image.windows import plan_windows

def megabytes(field):
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) / 1024

def run(original, queries, classes):
    plan = plan_windows(336, 448, window=224, stride=112)
    logits = torch.rand(len(plan.tops), len(plan.lefts), 14, 14, queries) / 2
    class_of_query = (0,) * (queries - classes + 1) + tuple(range(1, classes))
    how = DecodeSettings(threshold=0.1, area_threshold=0.001)
    return decode(logits, plan, original, class_of_query, classes, how)

run((8, 8), 4, 3)  # whatever is loaded at first use is loaded now
start = megabytes("VmRSS")
labels, _ = run((480, 640), 113, 81)
print(megabytes("VmHWM") - start, len(set(labels.flat)))
start = megabytes("VmRSS")
control = torch.ones(300, 1024, 256)  # 300 MB: would they have been seen?
print(megabytes("VmHWM") - start)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_coco_object() -> None:
    """113 words on 480 × 640 pixels, 81 classes: one plane per word would be 139 MB already.

    In a process of its own, from its peak as the kernel keeps it: the peak that `resource` tells
    starts with that of the process it was started from.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    decoding, control = done.stdout.splitlines()
    megabytes, labels = decoding.split()
    assert int(labels) > 60
    assert 5 < float(megabytes) < 200
    assert float(control) > 250
