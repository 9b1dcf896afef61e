"""SFR of ResCLIP: which patches belong together, and what the second pass makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lhtclip.errors import InputError, UnknownNameError
from lhtclip.methods import METHODS, Method
from lhtclip.methods.resclip import RcsSettings
from lhtclip.methods.resclip_feedback import (
    FeedbackSettings,
    SfrSettings,
    belonging,
    blur_matrix,
    resclip_with_feedback,
    second_pass,
    unbroken,
    unbroken_as_released,
)
from tests.literal import feedback as literal
from tests.methods import towers

GRIDS = [(1, 1), (1, 6), (5, 1), (3, 4), (5, 5), (4, 9)]


def some_labels(rows: int, columns: int, queries: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(queries, (rows, columns), generator=generator)


# Which patches belong together


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 3), st.integers(0, 1000))
def test_unbroken_segments(rows: int, columns: int, queries: int, seed: int) -> None:
    labels = some_labels(rows, columns, queries, seed)
    places = list(np.ndindex(rows, columns))
    expected = [[literal.unbroken(labels.numpy(), i, j) for j in places] for i in places]
    np.testing.assert_array_equal(unbroken(labels).numpy(), expected)


def test_a_wall_breaks_segments_and_a_way_around_does_not_help() -> None:
    labels = torch.tensor([[0, 1, 0], [0, 1, 0], [0, 0, 0]])
    see = unbroken(labels).reshape(3, 3, 3, 3)
    assert see[0, 0, 1, 0]
    assert not see[0, 0, 0, 2]  # across the wall
    assert not see[0, 0, 2, 2]  # the diagonal meets it too
    assert see[2, 0, 2, 2]
    assert not see[0, 0, 0, 1]  # another label


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 3), st.integers(0, 1000))
def test_the_released_check_sees_the_first_part(
    rows: int, columns: int, queries: int, seed: int
) -> None:
    if max(rows, columns) % 2 == 1:
        columns = max(rows, columns) + 1  # no halves, whose rounding is a matter of one bit
    labels = some_labels(rows, columns, queries, seed)
    places = list(np.ndindex(rows, columns))
    expected = [
        [literal.unbroken_as_released(labels.numpy(), i, j) for j in places] for i in places
    ]
    np.testing.assert_array_equal(unbroken_as_released(labels).numpy(), expected)


def test_the_released_check_overlooks_a_wall() -> None:
    labels = torch.zeros(1, 8, dtype=torch.long)
    labels[0, 3] = 1
    whole, released = unbroken(labels)[0], unbroken_as_released(labels)[0]
    assert not whole[4]
    assert released[4]  # 4 steps of 4/7 patch end at the third patch
    assert not released[7]


def test_belonging_as_released() -> None:
    labels = some_labels(4, 8)
    numbers = literal.belonging(labels.numpy(), check=literal.unbroken_as_released)
    found = belonging(labels, path="released")
    torch.testing.assert_close(found, torch.from_numpy(numbers).float(), rtol=0, atol=1e-5)
    assert (found - belonging(labels)).abs().max() > 0.01


@pytest.mark.parametrize("grid", GRIDS)
def test_belonging_is_its_formula(grid: tuple[int, int]) -> None:
    labels = some_labels(*grid)
    expected = torch.from_numpy(literal.belonging(labels.numpy())).float()
    torch.testing.assert_close(belonging(labels), expected, rtol=0, atol=1e-5)


def test_belonging_on_a_large_grid() -> None:
    """Where the kernel's 31 places are fewer than the patches, and labels form regions."""
    labels = torch.zeros(7, 9, dtype=torch.long)
    labels[:, 4:] = 1
    labels[2:5, 6:8] = 2
    expected = torch.from_numpy(literal.belonging(labels.numpy())).float()
    found = belonging(labels)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert found.max() == 1
    assert found.min() >= 0


def test_one_label_everywhere_leaves_the_blur_alone() -> None:
    found = belonging(torch.zeros(8, 8, dtype=torch.long))
    assert (found > 0.99 * found.max(dim=1, keepdim=True).values)[:, 16:48].all()


@pytest.mark.parametrize("length", [1, 2, 15, 30, 31, 32, 60])
def test_blur_is_a_padded_convolution(length: int) -> None:
    size = min(length, 31) | 1
    x = torch.arange(size) - size // 2
    kernel = torch.exp(-(x**2) / 50.0)
    rows = torch.rand(4, length, generator=torch.Generator().manual_seed(0))
    expected = F.conv1d(rows[:, None], kernel[None, None], padding=size // 2)[:, 0]
    torch.testing.assert_close(rows @ blur_matrix(length, 5.0), expected)


# The two passes


class Given:
    """The labels of a first pass, and what it was asked for."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels
        self.asked: dict[str, float] = {}

    def __call__(self, *, logit_scale: float, threshold: float) -> Tensor:
        self.asked = {"logit_scale": logit_scale, "threshold": threshold}
        return self.labels


def second(method: Method, labels: Tensor) -> Method:
    assert method.second_pass is not None
    return method.second_pass(Given(labels), method.settings)


def test_labels_are_asked_for_by_the_settings() -> None:
    given = Given(some_labels(3, 4)[None])
    settings = FeedbackSettings(RcsSettings(), SfrSettings(threshold=0.1, logit_scale=30.0))
    second_pass(given, settings)
    assert given.asked == {"logit_scale": 30.0, "threshold": 0.1}


@pytest.mark.parametrize("class_tokens", [1, 0])
@pytest.mark.parametrize("base", ["naclip", "sclip", "clearclip"])
def test_second_pass_is_its_formula(base: Any, class_tokens: int) -> None:
    """τ_s [(1 - λ_s) s K Kᵀ + λ_s F] + Ω in place of s K Kᵀ + Ω, and RCS as before."""
    labels = torch.stack([some_labels(3, 4, seed=seed) for seed in range(2)])
    tower = towers.tower((3, 4), class_tokens=class_tokens)
    method = resclip_with_feedback(RcsSettings(base), SfrSettings(scale=2.1, share=0.6))
    given = towers.update(second(method, labels), tower)
    maps = (literal.belonging(window.numpy()) for window in labels)
    expected = towers.slowly(
        lambda inside: literal.second_run(inside, next(maps), base=base, scale=2.1, share=0.6),
        tower,
    )
    assert given.shape == expected.shape
    patches = slice(class_tokens, None)
    torch.testing.assert_close(given[:, patches], expected[:, patches], rtol=0, atol=1e-6)


def test_first_pass_is_rcs_alone() -> None:
    tower = towers.tower((3, 4))
    alone, both = METHODS["resclip"], METHODS["resclip-sfr"]
    assert torch.equal(towers.update(both, tower), towers.update(alone, tower))
    assert (both.residual, both.mlp) == (alone.residual, alone.mlp)
    assert both.layers_read(12) == alone.layers_read(12)


def test_share_of_zero_and_scale_of_one_is_rcs_alone() -> None:
    tower = towers.tower((3, 4))
    method = resclip_with_feedback(RcsSettings(), SfrSettings(scale=1.0, share=0.0))
    torch.testing.assert_close(
        towers.update(second(method, torch.stack([some_labels(3, 4)] * 2)), tower),
        towers.update(METHODS["resclip"], tower),
    )


def test_settings_of_both_halves_are_recorded() -> None:
    recorded = resclip_with_feedback(RcsSettings(share=0.6), SfrSettings(share=0.2))
    assert recorded.recorded_settings()["rcs"]["share"] == 0.6
    assert recorded.recorded_settings()["sfr"]["share"] == 0.2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", 0.0),
        ("scale", float("nan")),
        ("share", 1.1),
        ("threshold", -0.1),
        ("logit_scale", 0),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"SFR's {name} must be"):
        SfrSettings(**{name: value})  # pyright: ignore[reportArgumentType]


def test_an_unknown_path_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"path of SFR 'release'.*'released'"):
        SfrSettings(path="release")
