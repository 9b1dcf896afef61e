"""Ω, the neighbourhood of NACLIP."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lhtclip.errors import InputError
from lhtclip.methods.naclip import NaclipSettings, neighbourhood


@pytest.mark.parametrize("grid", [(6, 6), (3, 7), (7, 3), (1, 6), (1, 1)])
@pytest.mark.parametrize("sigma", [0.7, 5.0])
def test_neighbourhood_is_two_nested_loops(grid: tuple[int, int], sigma: float) -> None:
    rows, columns = grid
    expected = torch.zeros(1 + rows * columns, 1 + rows * columns, dtype=torch.float64)
    for i in range(rows * columns):
        for j in range(rows * columns):
            down, across = i // columns - j // columns, i % columns - j % columns
            expected[1 + i, 1 + j] = math.exp(-(down**2 + across**2) / (2 * sigma**2))
    torch.testing.assert_close(
        neighbourhood(grid, sigma, class_tokens=1).double(), expected, rtol=0, atol=1e-7
    )


def test_published_width() -> None:
    assert NaclipSettings().sigma == 5.0


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, "wide"])
def test_widths_that_are_none(sigma: Any) -> None:
    with pytest.raises(InputError, match=f"sigma must be above 0 patches, not {sigma!r}"):
        NaclipSettings(sigma)


def test_class_token_has_no_neighbourhood() -> None:
    omega = neighbourhood((3, 4), 5.0, class_tokens=1)
    assert not omega[0].any()
    assert not omega[:, 0].any()
    assert omega[1:, 1:].all()


def test_peak_is_one_and_the_bias_symmetric() -> None:
    omega = neighbourhood((3, 4), 5.0, class_tokens=1)
    assert torch.equal(omega.diagonal(), torch.tensor([0.0] + [1.0] * 12))
    assert torch.equal(omega, omega.T)


def test_infinite_width_treats_all_patches_alike() -> None:
    omega = neighbourhood((3, 4), math.inf, class_tokens=1)
    assert torch.equal(omega[1:, 1:], torch.ones(12, 12))
    scores = torch.randn(13, 13, generator=torch.Generator().manual_seed(0))
    plain, drawn = scores[1:, 1:].softmax(dim=1), (scores + omega)[1:, 1:].softmax(dim=1)
    torch.testing.assert_close(drawn, plain)
