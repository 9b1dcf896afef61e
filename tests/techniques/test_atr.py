"""ATR: which tokens are sparse, and what takes their place."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lhtclip.errors import InputError, UnknownNameError
from lhtclip.techniques.atr import AtrSettings, hoyer, replace_abnormal
from tests import literal

WIDTH = 16


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mask(batch: int, patches: int, share: float, *, seed: int = 0) -> Tensor:
    return torch.rand(batch, patches, generator=torch.Generator().manual_seed(seed)) < share


# Hoyer score


@pytest.mark.parametrize("width", [2, 7, 768])
def test_hoyer_is_its_formula(width: int) -> None:
    tokens = random(2, 5, width).pow(3)  # from even to sparse
    expected = [[literal.hoyer(token.double().numpy()) for token in image] for image in tokens]
    np.testing.assert_allclose(hoyer(tokens).numpy(), expected, rtol=0, atol=1e-6)
    exact = hoyer(tokens.double())
    assert exact.dtype == torch.float64
    np.testing.assert_allclose(exact.numpy(), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("width", [2, 6, 19, 64, 768, 1024])
@pytest.mark.parametrize("level", [1.0, -3.3, 1e-3, 1e4])
def test_hoyer_of_one_hot_even_and_zero_tokens(width: int, level: float) -> None:
    one_hot, even = torch.zeros(width), torch.full((width,), level)
    one_hot[width // 2] = level
    scores = hoyer(torch.stack([one_hot, even, torch.zeros(width)]))
    torch.testing.assert_close(scores, torch.tensor([1.0, 0.0, 0.0]), rtol=0, atol=2e-5)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert scores[2] == 0


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 40),
    st.floats(1e-4, 1e4),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_hoyer_knows_neither_scale_nor_sign_nor_order(
    width: int, scale: float, negative: bool, seed: int
) -> None:
    token = random(width, seed=seed)
    order = torch.randperm(width, generator=torch.Generator().manual_seed(seed))
    changed = token[order] * (-scale if negative else scale)
    torch.testing.assert_close(hoyer(changed), hoyer(token), rtol=0, atol=1e-5)


def test_hoyer_of_bfloat16_is_computed_in_float32() -> None:
    tokens = random(3, 768).bfloat16()
    assert hoyer(tokens).dtype == torch.float32
    assert torch.equal(hoyer(tokens), hoyer(tokens.float()))


# Replacement


def replaced_slowly(
    patches: Tensor, grid: tuple[int, int], how: AtrSettings, abnormal: Tensor
) -> Tensor:
    images = zip(patches.double().numpy(), abnormal.tolist(), strict=True)
    return torch.from_numpy(np.stack([literal.replace(p, grid, how, flags) for p, flags in images]))


@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 6), (6, 1), (1, 1)])
@pytest.mark.parametrize("sigma", [0.4, 1.0, 5.0])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("surrounded", ["keep", "zero"])
def test_replacement_is_its_formula(
    grid: tuple[int, int], sigma: float, normalised: bool, surrounded: Literal["keep", "zero"]
) -> None:
    how = AtrSettings(sigma=sigma, normalised=normalised, surrounded=surrounded)
    patches = random(6, grid[0] * grid[1], WIDTH)
    for share in (0.3, 0.8):  # at 0.8 some tokens have no normal neighbour
        abnormal = mask(6, grid[0] * grid[1], share)
        expected = replaced_slowly(patches, grid, how, abnormal)
        given = replace_abnormal(patches, grid, how, abnormal=abnormal)
        torch.testing.assert_close(given.double(), expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(given[~abnormal], patches[~abnormal])


def test_by_default_the_hoyer_score_judges() -> None:
    patches = random(3, 12, WIDTH)
    patches[:, [0, 5, 7]] *= torch.eye(WIDTH)[3] * 40 + 1  # one large channel
    how = AtrSettings()
    flags = torch.tensor([literal.judge(p, 0.5) for p in patches.double().numpy()])
    assert flags[:, [0, 5, 7]].float().mean() > 0.5
    assert not flags[:, [1, 2, 3, 4, 6, 8, 9, 10, 11]].all()
    given = replace_abnormal(patches, (3, 4), how)
    torch.testing.assert_close(given.double(), replaced_slowly(patches, (3, 4), how, flags))
    assert torch.equal(given[~flags], patches[~flags])
    assert not torch.equal(given, patches)


def test_a_given_judgement_wins_over_the_score() -> None:
    patches = random(1, 9, WIDTH)
    patches[0, 4] = torch.eye(WIDTH)[0]  # abnormal by its score
    nobody = torch.zeros(1, 9, dtype=torch.bool)
    assert torch.equal(replace_abnormal(patches, (3, 3), AtrSettings(), abnormal=nobody), patches)


def test_corner_takes_from_its_three_neighbours() -> None:
    patches = random(1, 12, WIDTH)
    abnormal = torch.zeros(1, 12, dtype=torch.bool)
    abnormal[0, 3] = True  # top right of 3 rows, 4 columns
    near, far = math.exp(-1 / 2), math.exp(-2 / 2)
    mixed = near * patches[0, 2] + near * patches[0, 7] + far * patches[0, 6]
    given = replace_abnormal(patches, (3, 4), AtrSettings(), abnormal=abnormal)
    torch.testing.assert_close(given[0, 3], mixed / (2 * near + far))


def test_wide_kernel_is_the_mean_of_the_normal_neighbours() -> None:
    patches = random(1, 9, WIDTH)
    abnormal = torch.zeros(1, 9, dtype=torch.bool)
    abnormal[0, [1, 4]] = True
    given = replace_abnormal(patches, (3, 3), AtrSettings(sigma=1e6), abnormal=abnormal)
    torch.testing.assert_close(given[0, 4], patches[0, [0, 2, 3, 5, 6, 7, 8]].mean(dim=0))
    torch.testing.assert_close(given[0, 1], patches[0, [0, 2, 3, 5]].mean(dim=0))


def test_threshold_of_one_changes_nothing() -> None:
    patches = random(2, 12, WIDTH)
    patches[:, 5] = torch.eye(WIDTH)[0] * 3.3  # as sparse as can be
    assert torch.equal(replace_abnormal(patches, (3, 4), AtrSettings(threshold=1.0)), patches)


@pytest.mark.parametrize("normalised", [True, False])
def test_all_abnormal(normalised: bool) -> None:
    patches, everybody = random(2, 12, WIDTH), torch.ones(2, 12, dtype=torch.bool)
    keep = AtrSettings(normalised=normalised)
    zero = AtrSettings(normalised=normalised, surrounded="zero")
    assert torch.equal(replace_abnormal(patches, (3, 4), keep, abnormal=everybody), patches)
    assert not replace_abnormal(patches, (3, 4), zero, abnormal=everybody).any()


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_where_nobody_can_ask_it_is_the_same(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph cannot be asked whether a token is abnormal, so it takes the long way always."""
    patches, abnormal = random(2, 12, WIDTH), mask(2, 12, share)
    asked = replace_abnormal(patches, (3, 4), AtrSettings(), abnormal=abnormal)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(replace_abnormal(patches, (3, 4), AtrSettings(), abnormal=abnormal), asked)


def test_input_is_left_alone() -> None:
    patches, abnormal = random(2, 12, WIDTH), mask(2, 12, 0.5)
    before = patches.clone()
    replace_abnormal(patches, (3, 4), AtrSettings(), abnormal=abnormal)
    assert torch.equal(patches, before)


def test_batch_is_images_one_by_one() -> None:
    patches = random(5, 12, WIDTH)
    how = AtrSettings(threshold=float(hoyer(patches).median()))
    alone = torch.cat([replace_abnormal(image[None], (3, 4), how) for image in patches])
    torch.testing.assert_close(replace_abnormal(patches, (3, 4), how), alone)


def test_bfloat16_is_rounded_once() -> None:
    patches, abnormal = random(3, 12, WIDTH).bfloat16(), mask(3, 12, 0.5)
    given = replace_abnormal(patches, (3, 4), AtrSettings(), abnormal=abnormal)
    exact = replace_abnormal(patches.float(), (3, 4), AtrSettings(), abnormal=abnormal)
    assert given.dtype == torch.bfloat16
    assert torch.equal(given, exact.bfloat16())


# Settings


def test_defaults() -> None:
    assert AtrSettings() == AtrSettings(
        threshold=0.5, sigma=1.0, normalised=True, surrounded="keep"
    )


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_width_must_be_positive(sigma: float) -> None:
    with pytest.raises(InputError, match="sigma must be above 0"):
        AtrSettings(sigma=sigma)


def test_unknown_way_with_surrounded_tokens() -> None:
    wrong: Any = "kep"
    with pytest.raises(UnknownNameError, match="Did you mean 'keep'"):
        AtrSettings(surrounded=wrong)
