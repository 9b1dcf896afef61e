"""Who parts: against softmax and argmax, and where several queries are equally good."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lhtclip.decoding.decode import decode
from lhtclip.decoding.online_softmax import RunningWinner, find_winners
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.image.windows import plan_windows

CLASSES = (0, 0, 1, 3, 3, 4, 7)


def numbers(classes: tuple[int, ...] = CLASSES) -> torch.Tensor:
    return torch.tensor(classes, dtype=torch.float32).view(-1, 1, 1)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 1.0, 30.0, 1e4])
def test_softmax_and_argmax(spread: float) -> None:
    logits = spread * torch.randn(7, 11, 13, generator=torch.Generator().manual_seed(0))
    winners = find_winners(logits.clone(), numbers())
    assert torch.equal(winners.winner, numbers().flatten()[logits.argmax(dim=0)])
    assert torch.equal(winners.best, logits.amax(dim=0))
    expected = logits.double().softmax(dim=0).amax(dim=0).float()
    torch.testing.assert_close(winners.probability(winners), expected)


@pytest.mark.parametrize("level", [-40.0, 0.0, 1e-30, 12.3])
def test_the_first_of_equals_wins(level: float) -> None:
    logits = torch.full((7, 2, 2), level - 1)
    logits[3:, 0, 0] = level
    logits[(2, 5), 0, 1] = level
    logits[6, 1, 0] = level
    assert find_winners(logits, numbers()).winner.tolist() == [[3, 1], [7, 0]]


@pytest.mark.parametrize("group", [1, 2, 3, 7])
def test_groups_join_to_the_whole(group: int) -> None:
    logits = torch.randn(7, 4, 5, generator=torch.Generator().manual_seed(0)).mul(20).round()
    whole = find_winners(logits.clone(), numbers())
    winners = RunningWinner.none_yet((4, 5), logits.device)
    for part, classes in zip(logits.split(group), numbers().split(group), strict=True):
        winners = winners.join(find_winners(part.clone(), classes))
    assert torch.equal(winners.winner, whole.winner)
    assert torch.equal(winners.best, whole.best)
    torch.testing.assert_close(winners.total, whole.total)


@pytest.mark.parametrize("area_threshold", [0.0, 0.1])
def test_what_is_not_a_number_is_class_0(area_threshold: float) -> None:
    plan = plan_windows(4, 4, window=None, stride=1)
    logits = torch.full((1, 1, 4, 4, 2), torch.nan)
    how = DecodeSettings(threshold=0.1, area_threshold=area_threshold)
    labels, scores = decode(logits, plan, (4, 4), (0, 1), 2, how)
    assert not labels.any()
    assert np.isnan(scores).all()
