"""An accelerator is never waited for between two tiles."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from lhtclip.decoding import decode as module
from lhtclip.decoding.decode import TileSize, decode
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.image.windows import plan_windows
from tests.waiting import META, Transfers


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what the decoder asks the device for; tiles and bands are small."""
    counts: Counter[str] = Counter()

    def cpu(tensor: Tensor) -> Tensor:
        counts["planes"] += 1
        return torch.zeros(tensor.shape, dtype=tensor.dtype)

    def large_classes(*_: object) -> tuple[bool, ...]:
        counts["large classes"] += 1
        return (True, False, True)

    monkeypatch.setattr(module, "TILES_ELSEWHERE", TileSize(3 * 3 * 64, 64))
    monkeypatch.setattr(module, "BAND_PIXELS", 640)
    monkeypatch.setattr(Tensor, "cpu", cpu)
    monkeypatch.setattr(module, "_large_classes", large_classes)
    return counts


@pytest.mark.parametrize("pamr", [None, PamrSettings(1, (1,))], ids=str)
@pytest.mark.parametrize("area", [0.0, 0.1])
def test_waits_do_not_grow_with_the_tiles(
    pamr: PamrSettings | None, area: float, seen: Counter[str]
) -> None:
    plan = plan_windows(48, 64, window=32, stride=16)
    logits = torch.empty(len(plan.tops), len(plan.lefts), 4, 4, 3, device=META)
    image = torch.empty(3, 48, 64, device=META)
    how = DecodeSettings(threshold=0.3, area_threshold=area, pamr=pamr)
    runs: list[Transfers] = []
    for height in (20, 320):
        with Transfers() as run:
            decode(logits, plan, (height, 64), (0, 1, 2), 3, how, image=image)
        runs.append(run)
    few, many = runs
    assert many.operators > 4 * few.operators
    assert many.count == few.count
    assert seen["planes"] == 2 * 2  # labels and scores
    assert seen["large classes"] == 2 * (area > 0)


@pytest.mark.parametrize(
    "wait", [lambda x: x.tolist(), lambda x: x[x > 0], lambda x: bool(x.any())]
)
def test_waiting_would_be_seen(wait: Any) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        wait(torch.ones(3, device=META))


def test_a_transfer_would_be_seen() -> None:
    with Transfers() as transferred:
        torch.ones(3).to(META)
        torch.ones(3, device=META) + 1
    assert transferred.count == 1
