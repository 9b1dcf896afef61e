"""RF-CLIP: what it changes in every block, and where its code and its paper differ."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError
from lhtclip.methods import METHODS, BlockInput
from lhtclip.methods.rfclip import RfclipSettings, mend
from lhtclip.methods.rfclip_paper import RefocusSettings, fiedler_side, neighbours, refocus
from lhtclip.techniques.settings import OFF, LhtSettings
from tests import literal
from tests.encoders import ALL, MODEL
from tests.models import tiny_pixels

GRID = (3, 4)
EXCESS = 1.8  # random tokens have shares of up to about 2 / width
SETTINGS = {"rfclip": RfclipSettings(excess=EXCESS), "rfclip-paper": RefocusSettings(excess=EXCESS)}


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def entered(patches: Tensor) -> BlockInput:
    """A block whose input `mend` looks at; the attention is not used."""
    attention = MODEL.vision.blocks[0].attention
    return BlockInput(attention, patches, patches, GRID, class_tokens=0)


@pytest.mark.parametrize("lht", [OFF, ALL], ids=str)
@pytest.mark.parametrize("method", SETTINGS)
def test_every_block_is_changed_as_slowly(method: str, lht: LhtSettings) -> None:
    encoder = DenseEncoder(
        MODEL, method=replace(METHODS[method], settings=SETTINGS[method]), lht=lht
    )
    expected = literal.encode(
        tiny_pixels(),
        MODEL,
        method=method,
        lht=lht,
        residual=False,
        mlp_kept=False,
        excess=EXCESS,
    )
    given = encoder(tiny_pixels())
    torch.testing.assert_close(given, torch.from_numpy(expected).float(), rtol=0, atol=1e-5)
    calm = DenseEncoder(MODEL, method=method, lht=lht)(tiny_pixels())
    assert (given - calm).abs().max() > 0.01


def test_code_and_paper_differ() -> None:
    one, other = (DenseEncoder(MODEL, method=name)(tiny_pixels()) for name in SETTINGS)
    assert (one - other).abs().max() > 0.05


# As released


def test_patches_that_are_not_abnormal_stay_bitwise_equal() -> None:
    patches = random(2, 12, 32)
    patches[0, 5, 7] = 60.0
    mended = mend(patches, entered(patches), RfclipSettings(channels=(7,)))
    changed = (mended != patches).any(dim=-1)
    assert changed.nonzero().tolist() == [[0, 5]]
    mean = patches[0].view(*GRID, 32)[0:3, 0:3].mean(dim=(0, 1))
    torch.testing.assert_close(mended[0, 5], 0.6 * patches[0, 5] + 0.4 * mean)


def test_the_preset_names_the_channels() -> None:
    for name in SETTINGS:
        suited = METHODS[name].suited_to((3, 1))
        assert suited.recorded_settings()["channels"] == [3, 1]
        assert METHODS[name].suited_to(()) is METHODS[name]
        chosen = replace(
            METHODS[name], settings=replace(cast("RfclipSettings", SETTINGS[name]), channels=(2,))
        )
        assert chosen.suited_to((3, 1)).recorded_settings()["channels"] == [2]


# As the paper describes it


def test_refocused_rows_keep_their_sums() -> None:
    weights = random(2, 3, 5, 5).softmax(dim=-1)
    bad = torch.tensor([[True, False, False, False, False], [False] * 5])
    good = torch.tensor([[False, False, True, True, False], [True] * 5])
    moved = refocus(weights, bad, good, 0.7)
    torch.testing.assert_close(moved.sum(dim=-1), weights.sum(dim=-1))
    torch.testing.assert_close(moved[0, ..., 0], 0.3 * weights[0, ..., 0])
    ratio = weights[0, ..., 2] / weights[0, ..., 3]
    torch.testing.assert_close(moved[0, ..., 2] / moved[0, ..., 3], ratio)
    assert torch.equal(moved[0, ..., 1], weights[0, ..., 1])
    assert torch.equal(moved[1], weights[1])
    nobody = refocus(weights, bad, torch.zeros_like(good), 0.7)
    assert torch.equal(nobody, weights)


def test_the_cut_separates_two_groups() -> None:
    groups = torch.tensor([0, 1, 0, 0, 1, 0, 1])
    similar = (
        torch.where(groups[:, None] == groups, 1.0, 0.01)[None] + 0.001 * random(1, 7, 7).abs()
    )
    side = fiedler_side(similar)[0]
    assert side.tolist() in ([g == 0 for g in groups], [g == 1 for g in groups])
    assert not fiedler_side(torch.ones(1, 1, 1)).any()


def test_neighbours_are_those_inside() -> None:
    patches = random(2, 12, 5)
    image = patches.view(2, *GRID, 5)
    given = neighbours(patches, GRID).view(2, *GRID, 5)
    corner = (image[:, 0, 1] + image[:, 1, 0] + image[:, 1, 1]) / 3
    torch.testing.assert_close(given[:, 0, 0], corner)
    inner = (image[:, :3, :3].sum(dim=(1, 2)) - image[:, 1, 1]) / 8
    torch.testing.assert_close(given[:, 1, 1], inner)
    assert torch.equal(
        neighbours(patches[:, :1], (1, 1)), torch.zeros(2, 1, 5, dtype=torch.float64)
    )


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"whole numbers from 0 on, not \(-1,\)"):
        RfclipSettings(channels=(-1,))
    with pytest.raises(InputError, match=r"share must be from 0 to 1, not 2"):
        RfclipSettings(share=2)
    with pytest.raises(InputError, match=r"beta must be from 0 to 1, not -0\.1"):
        RefocusSettings(beta=-0.1)
    method = replace(METHODS["rfclip"], settings=RfclipSettings(channels=(64,)))
    with pytest.raises(InputError, match="channels 0 to 63, so 64 cannot be abnormal"):
        DenseEncoder(MODEL, method=method)(tiny_pixels())
