"""Pooled values against pooling of full-size ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lhtclip.decoding import pooling
from lhtclip.decoding.pooling import pooled_image, pooled_logits
from lhtclip.image.windows import plan_windows
from tests.decoding.full_size import full_size


@pytest.mark.parametrize("floats", [1 << 21, 1])
@pytest.mark.parametrize("step", [(1, 1), (3, 2), (7, 11), (60, 80)])
def test_logits(step: tuple[int, int], floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "_FLOATS", floats)
    plan, size = plan_windows(48, 64, window=32, stride=16), (61, 83)
    logits = torch.randn(2, 3, 4, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = F.avg_pool2d(full_size(logits, plan, size), step, stride=step)
    torch.testing.assert_close(pooled_logits(logits, plan, size, step), expected)


@pytest.mark.parametrize("size", [(40, 30), (17, 60)])
def test_images(size: tuple[int, int]) -> None:
    image = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0))
    resized = F.interpolate(image[None], size=size, mode="bilinear")[0]
    expected = F.avg_pool2d(resized, (4, 3), stride=(4, 3))
    torch.testing.assert_close(pooled_image(image, size, (4, 3)), expected)
