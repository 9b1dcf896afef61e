"""The fused kernel against the plain decoder, in Triton's interpreter where there is no GPU.

Triton comes with torch's CUDA builds; elsewhere `pip install triton` makes these tests run.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from lhtclip.decoding.decode import decode
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.image.windows import plan_windows

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
CLASSES = (0, 0, 1, 2, 3, 4, 4, 5, 6)


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "cpu":
        monkeypatch.setitem(os.environ, "TRITON_INTERPRET", "1")


@pytest.mark.parametrize("size", [(48, 61), (75, 140), (5, 3)], ids=str)
@pytest.mark.parametrize("window", [32, None], ids=str)
@pytest.mark.parametrize(
    "how", [DecodeSettings(), DecodeSettings(threshold=0.3, area_threshold=0.1)], ids=["all", "few"]
)
def test_the_kernel_decodes_like_the_plain_path(
    size: tuple[int, int], window: int | None, how: DecodeSettings
) -> None:
    plan = plan_windows(48, 64, window=window, stride=16)
    grid = (plan.window_height // 8, plan.window_width // 8)
    logits = 0.2 * torch.randn(len(plan.tops), len(plan.lefts), *grid, 9, device=DEVICE)
    labels, scores = decode(logits, plan, size, CLASSES, 7, how)
    found = decode(logits, plan, size, CLASSES, 7, how, fused=True)
    assert (found[0] == labels).mean() > 0.999
    np.testing.assert_allclose(found[1], scores, atol=1e-5)


def test_nan_is_class_zero_with_the_kernel_too() -> None:
    plan = plan_windows(32, 32, window=None, stride=16)
    logits = torch.randn(1, 1, 4, 4, 9, device=DEVICE)
    logits[0, 0, 0, 0, 3] = torch.nan
    labels = decode(logits, plan, (32, 32), CLASSES, 7, DecodeSettings(), fused=True)[0]
    assert labels[0, 0] == 0
