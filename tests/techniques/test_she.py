"""SHE: what the good heads write, and how it smooths the patches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from lhtclip.errors import InputError, UnknownNameError
from lhtclip.techniques.atr import AtrSettings, hoyer
from lhtclip.techniques.she import Contributions, SheSettings, affinity, enhance
from tests import literal

GRID, WIDTH, BATCH = (3, 4), 16, 2
PATCHES = GRID[0] * GRID[1]
HEADS = ((2, 3), (4, 1), (2, 1))  # two of one layer, one of another
SETTINGS = SheSettings(heads=HEADS, beta=0.2)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole(contributions: list[Tensor]) -> list[Contributions]:
    """Contributions given as they are: the second factor is the identity."""
    return [
        Contributions(c, torch.eye(WIDTH).expand(c.shape[1], WIDTH, WIDTH).to(c))
        for c in contributions
    ]


def written() -> list[Tensor]:
    """What the heads of layer 2 and those of layer 4 write; patches are alike in places."""
    shared = random(BATCH, 1, PATCHES, WIDTH, seed=1)
    of_layer_2 = shared + random(BATCH, 2, PATCHES, WIDTH, seed=2)
    of_layer_4 = 2 * shared + random(BATCH, 1, PATCHES, WIDTH, seed=3)
    for contribution in (of_layer_2, of_layer_4):
        contribution[:, :, 6:] = contribution[:, :, :6] + 0.7 * contribution[:, :, 6:]
        contribution[:, :, [1, 7], 5] *= 30  # sparse
    return [of_layer_2, of_layer_4]


def smoothed(settings: SheSettings, *, patches: Tensor | None = None) -> Tensor:
    patches = random(BATCH, PATCHES, WIDTH) if patches is None else patches
    return enhance(
        patches, whole(written()), GRID, settings, atr=AtrSettings(), abnormal=abnormal_of(patches)
    )


def abnormal_of(patches: Tensor) -> Tensor:
    scores = hoyer(patches)
    return scores > scores.median()


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("normalise", ["column", "row"])
@pytest.mark.parametrize("atr", ["own", "residual", "none"])
@pytest.mark.parametrize("unit_heads", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_enhancement_is_its_formula(
    beta: float,
    normalise: Literal["column", "row"],
    atr: Literal["own", "residual", "none"],
    unit_heads: bool,
    centred: bool,
) -> None:
    settings = SheSettings(HEADS, beta, normalise, atr, unit_heads, centred)
    patches = random(BATCH, PATCHES, WIDTH)
    expected = [
        literal.enhance(
            patches[image].double().numpy(),
            [head.double().numpy() for layer in written() for head in layer[image]],
            GRID,
            settings,
            AtrSettings(),
            abnormal_of(patches)[image].tolist(),
        )
        for image in range(BATCH)
    ]
    given = smoothed(settings, patches=patches)
    np.testing.assert_allclose(given.numpy(), np.stack(expected), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"beta": 0.5},
        {"normalise": "row"},
        {"atr": "residual"},
        {"atr": "none"},
        {"unit_heads": True},
        {"centred": True},
    ],
)
def test_every_setting_matters(change: dict[str, Any]) -> None:
    changed = replace(SETTINGS, **change)
    assert (smoothed(changed) - smoothed(SETTINGS)).abs().max() > 1e-3


@pytest.mark.parametrize("normalise", ["column", "row"])
def test_beta_above_one_changes_nothing(normalise: Literal["column", "row"]) -> None:
    patches = random(BATCH, PATCHES, WIDTH)
    settings = SheSettings(HEADS, beta=1.1, normalise=normalise)
    assert torch.equal(smoothed(settings, patches=patches), patches)


@pytest.mark.parametrize(("normalise", "axis"), [("column", 1), ("row", 2)])
def test_sums_are_one(normalise: Literal["column", "row"], axis: int) -> None:
    settings = SheSettings(HEADS, beta=0.1, normalise=normalise)
    weights = affinity(random(BATCH, PATCHES, WIDTH), settings)
    assert weights.shape == (BATCH, PATCHES, PATCHES)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(dim=axis), torch.ones(BATCH, PATCHES))
    assert (weights.sum(dim=3 - axis) - 1).abs().max() > 0.01


def test_columns_and_rows_are_each_others_transpose() -> None:
    features = random(BATCH, PATCHES, WIDTH)
    by_column, by_row = (
        affinity(features, SheSettings(HEADS, beta=0.1, normalise=axis))
        for axis in ("column", "row")
    )
    torch.testing.assert_close(by_column, by_row.transpose(1, 2))


def test_rows_keep_what_is_the_same_everywhere() -> None:
    patches = random(BATCH, 1, WIDTH).expand(BATCH, PATCHES, WIDTH)
    settings = replace(SETTINGS, normalise="row")
    torch.testing.assert_close(smoothed(settings, patches=patches), patches)


def test_order_of_heads_is_irrelevant() -> None:
    patches, of_layers = random(BATCH, PATCHES, WIDTH), written()
    turned = [of_layers[1], of_layers[0].flip(1)]
    results = [
        enhance(
            patches, whole(heads), GRID, SETTINGS, atr=AtrSettings(), abnormal=abnormal_of(patches)
        )
        for heads in (of_layers, turned)
    ]
    torch.testing.assert_close(results[0], results[1])


def test_heads_of_a_layer() -> None:
    assert SETTINGS.heads_of(2) == (2, 0)
    assert SETTINGS.heads_of(4) == (0,)
    assert SETTINGS.heads_of(3) == ()


def test_strong_heads_weigh_more_unless_of_unit_length() -> None:
    patches, of_layers = random(BATCH, PATCHES, WIDTH), written()
    louder = [of_layers[0], 100 * of_layers[1]]
    for unit_heads in (False, True):
        settings = replace(SETTINGS, atr="none", unit_heads=unit_heads)
        before, after = (
            enhance(
                patches,
                whole(heads),
                GRID,
                settings,
                atr=AtrSettings(),
                abnormal=patches[..., 0] > 9,
            )
            for heads in (of_layers, louder)
        )
        assert torch.allclose(before, after, atol=1e-5) == unit_heads


def test_centring_removes_what_all_patches_share() -> None:
    features = random(1, PATCHES, WIDTH)
    shifted = features + 100 * random(WIDTH, seed=5)
    plain, centred = (SheSettings(HEADS, centred=centred) for centred in (False, True))
    assert (affinity(shifted, plain) - 1 / PATCHES).abs().max() < 1e-2  # all cosines near 1
    torch.testing.assert_close(
        affinity(shifted, centred), affinity(features, centred), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("unit_heads", [False, True])
def test_contributions_of_zeros(centred: bool, unit_heads: bool) -> None:
    patches = random(BATCH, PATCHES, WIDTH)
    nothing = [torch.zeros_like(layer) for layer in written()]
    settings = replace(SETTINGS, centred=centred, unit_heads=unit_heads)
    given = enhance(
        patches, whole(nothing), GRID, settings, atr=AtrSettings(), abnormal=abnormal_of(patches)
    )
    assert torch.equal(given, patches)


def test_one_patch() -> None:
    patches = random(BATCH, 1, WIDTH)
    contributions = [random(BATCH, 3, 1, WIDTH)]
    nobody = torch.zeros(BATCH, 1, dtype=torch.bool)
    given = enhance(
        patches, whole(contributions), (1, 1), SETTINGS, atr=AtrSettings(), abnormal=nobody
    )
    assert torch.equal(given, patches)


def test_bfloat16() -> None:
    patches = random(BATCH, PATCHES, WIDTH).bfloat16()
    abnormal = abnormal_of(patches)
    rounded = [layer.bfloat16() for layer in written()]
    settings = replace(SETTINGS, beta=0.0)  # there no similarity can jump
    given = enhance(patches, whole(rounded), GRID, settings, atr=AtrSettings(), abnormal=abnormal)
    exact = enhance(
        patches.float(), whole(written()), GRID, settings, atr=AtrSettings(), abnormal=abnormal
    )
    assert given.dtype == torch.bfloat16
    torch.testing.assert_close(given.float(), exact, rtol=0, atol=0.05)


# Settings


def test_defaults() -> None:
    assert SheSettings(HEADS) == SheSettings(
        heads=HEADS, beta=0.4, normalise="column", atr="own", unit_heads=False, centred=False
    )


@pytest.mark.parametrize("heads", [(), (6, 11), ((6, 11), (7,)), ((1, 2, 3),)])
def test_heads_are_pairs(heads: Any) -> None:
    with pytest.raises(InputError, match=r"\(layer, head\) pairs, at least one"):
        SheSettings(heads=heads)


@pytest.mark.parametrize("beta", [-0.1, float("nan")])
def test_beta_is_not_negative(beta: float) -> None:
    with pytest.raises(InputError, match="beta must be 0 or more"):
        SheSettings(HEADS, beta=beta)


def test_unknown_words() -> None:
    wrong: Any = "columns"
    with pytest.raises(UnknownNameError, match="Did you mean 'column'"):
        SheSettings(HEADS, normalise=wrong)
    with pytest.raises(UnknownNameError, match="Available: own, residual, none"):
        SheSettings(HEADS, atr=wrong)


# Factors


def test_factors_say_the_same_as_their_product() -> None:
    outputs, projections = random(BATCH, 3, PATCHES, 4, seed=7), random(3, 4, WIDTH, seed=8)
    factored = Contributions(outputs, projections)
    full = outputs @ projections
    torch.testing.assert_close(factored.hoyer(), hoyer(full))
    torch.testing.assert_close(factored.length()[..., 0], full.norm(dim=-1))
    torch.testing.assert_close(factored.sum(), full.sum(dim=1))


@pytest.mark.parametrize("atr", ["own", "residual", "none"])
@pytest.mark.parametrize("unit_heads", [False, True])
def test_factors_are_enhanced_like_their_product(
    atr: Literal["own", "residual", "none"], unit_heads: bool
) -> None:
    patches = random(BATCH, PATCHES, WIDTH)
    settings = replace(SETTINGS, heads=HEADS, atr=atr, unit_heads=unit_heads)
    factored = Contributions(random(BATCH, 3, PATCHES, 4, seed=7), random(3, 4, WIDTH, seed=8))
    full = factored.outputs @ factored.projections
    threshold = AtrSettings(threshold=float(hoyer(full).median()))
    given, expected = (
        enhance(patches, parts, GRID, settings, atr=threshold, abnormal=abnormal_of(patches))
        for parts in ([factored], whole([full]))
    )
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)
