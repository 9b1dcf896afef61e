"""An accelerator is never waited for between two tiles."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from lhtclip.decoding import decode as module
from lhtclip.decoding.decode import TILES, DecodeSettings, TileSize, decode
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.image.windows import plan_windows
from tests.waiting import Asked, Run


def waits(size: tuple[int, int], how: DecodeSettings) -> tuple[int, Counter[str], Counter[str]]:
    """Decode; return tiles, and what waits among functions and operators."""
    plan = plan_windows(48, 64, window=32, stride=16)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(plan.tops), len(plan.lefts), 4, 4, 9, generator=generator)
    image = torch.rand(3, 48, 64, generator=generator)
    options = (logits, plan, size, tuple(range(9)), 9, how)
    decode(*options, image=image)  # plans the axes, on the CPU
    with Asked() as asked, Run() as run:
        decode(*options, image=image)
    return run.tiles, asked.counts, run.counts


@pytest.mark.parametrize("pamr", [None, PamrSettings(1, (1,))], ids=str)
@pytest.mark.parametrize("area", [0.0, 0.115])
def test_waits_do_not_grow_with_the_tiles(
    pamr: PamrSettings | None, area: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(TILES, "cpu")
    monkeypatch.setattr(module, "TILES_ELSEWHERE", TileSize(9 * 3 * 64, 64))
    monkeypatch.setattr(module, "BAND_PIXELS", 640)
    how = DecodeSettings(threshold=0.3, area_threshold=area, pamr=pamr)
    few, many = waits((20, 64), how), waits((160, 64), how)
    assert many[0] > 5 * few[0] > 30
    assert many[1:] == few[1:]
    assert few[1]["cpu"] == 2  # labels and scores
    assert few[1]["tolist"] == few[2]["bincount"] == (area > 0)
    assert few[1].total() < 30
    assert few[2].total() < 15


@pytest.mark.parametrize("wait", [lambda x: x.cpu(), lambda x: x[x > 0], lambda x: bool(x.any())])
def test_waiting_would_be_seen(wait: Any) -> None:
    with Asked() as asked, Run() as run:
        wait(torch.ones(3))
    assert asked.counts.total() + run.counts.total() > 0
