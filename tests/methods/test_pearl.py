"""PEARL: the rotation of its keys, and its settings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from lhtclip.errors import InputError
from lhtclip.methods import METHODS
from lhtclip.methods.pearl import PearlSettings, orthogonal
from tests.literal.hosts import pearl
from tests.methods import towers


def some_matrices() -> torch.Tensor:
    return torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_exact_rotation_is_procrustes() -> None:
    """No orthogonal matrix R has a larger trace of Mᵀ R."""
    matrices = some_matrices()
    best = orthogonal(matrices, 0)
    identity = torch.eye(8, dtype=torch.float64).expand(3, -1, -1)
    torch.testing.assert_close(best.mT @ best, identity)
    reached = (matrices * best).sum(dim=(1, 2))
    torch.testing.assert_close(reached, torch.linalg.svdvals(matrices).sum(dim=1))


def test_many_steps_reach_the_exact_rotation() -> None:
    matrices = some_matrices()
    exact = orthogonal(matrices, 0)
    distances = [(orthogonal(matrices, n) - exact).abs().max().item() for n in (1, 5, 10, 40)]
    assert distances == sorted(distances, reverse=True)
    assert distances[1] > 0.01  # five, as published, stop short of it
    assert distances[3] < 1e-2  # the rest is the published 1e-6 on the diagonal


@pytest.mark.parametrize("settings", [PearlSettings(alpha=0.3), PearlSettings(steps=0)], ids=str)
def test_settings_are_those_of_the_formula(settings: PearlSettings) -> None:
    tower = towers.tower((3, 5))
    method = replace(METHODS["pearl"], settings=settings)
    slow = partial(pearl, alpha=settings.alpha, steps=settings.steps)
    expected = towers.slowly(slow, tower)
    torch.testing.assert_close(towers.update(method, tower), expected, rtol=0, atol=1e-9)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"PEARL's alpha must be 0 or more, not -0\.1"):
        PearlSettings(alpha=-0.1)
    with pytest.raises(InputError, match=r"whole number from 0 on, not 2\.5"):
        PearlSettings(steps=2.5)  # pyright: ignore[reportArgumentType]
