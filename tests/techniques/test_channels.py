"""Abnormal channels: their shares, which they are, and ATR that judges by them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lhtclip.config import SegmenterConfig
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError, UnknownNameError
from lhtclip.techniques.atr import AtrSettings, abnormal_patches, replace_abnormal
from lhtclip.techniques.channels import channel_mask, channel_shares, largest_channels
from lhtclip.techniques.presets import PRESETS, Preset
from lhtclip.techniques.settings import LhtSettings
from lhtclip.techniques.ssr import SsrSettings
from tests.encoders import MODEL
from tests.literal import rfclip as literal
from tests.models import tiny_pixels

PRESET = Preset(SsrSettings((1,)), "this test", channels=(2, 5))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_shares_are_their_formula() -> None:
    tokens = random(2, 5, 12)
    expected = [[literal.shares(token.double().numpy()) for token in image] for image in tokens]
    np.testing.assert_allclose(channel_shares(tokens).numpy(), expected, rtol=0, atol=1e-6)
    assert torch.equal(channel_shares(torch.full((3, 4), 2.0)), torch.zeros(3, 4))


@pytest.mark.parametrize("channels", [(), (3, 0, 11)])
def test_abnormal_patches_are_those_of_the_formula(channels: tuple[int, ...]) -> None:
    patches = random(3, 9, 12).pow(3)
    mask = channel_mask(patches, channels)
    for image, own in zip(patches, mask.expand(3, 1, 12), strict=True):
        expected = sorted(literal.channels_of(image.double().numpy(), channels))
        assert own[0].nonzero().flatten().tolist() == expected
    if channels:
        judge = AtrSettings(channels=channels, excess=3.0)
        expected = [literal.abnormal(image.double().numpy(), channels, 3.0) for image in patches]
        assert abnormal_patches(patches, judge).tolist() == expected
        assert 0 < np.mean(expected) < 1


def test_the_largest_come_first_and_a_narrow_tower_gives_all() -> None:
    shares = torch.linspace(0, 1, 20).flip(0)
    assert largest_channels(shares).tolist() == list(range(8))
    assert largest_channels(shares[:3]).tolist() == [0, 1, 2]


def test_atr_judges_by_channels_alone() -> None:
    """A sparse token without an abnormal channel stays; an even one with it is replaced."""
    patches = random(1, 9, 256)
    patches[0, 2, 20] = 200.0  # sparse, in another channel
    patches[0, 6, 5] = 15.0
    settings = AtrSettings(channels=(5,))
    assert abnormal_patches(patches, AtrSettings()).nonzero().tolist() == [[0, 2]]
    assert abnormal_patches(patches, settings).nonzero().tolist() == [[0, 6]]
    changed = replace_abnormal(patches, (3, 3), settings) != patches
    assert changed.any(dim=-1).nonzero().tolist() == [[0, 6]]


def test_the_encoder_judges_by_channels() -> None:
    hoyer = DenseEncoder(MODEL, lht=LhtSettings(atr=AtrSettings(threshold=1.0)))
    channels = AtrSettings(channels=(1, 7, 9), excess=1.5)
    judged = DenseEncoder(MODEL, lht=LhtSettings(atr=channels))
    assert (hoyer(tiny_pixels()) - judged(tiny_pixels())).abs().max() > 0.01
    assert judged.settings()["techniques"]["atr"]["channels"] == [1, 7, 9]


# Presets and configurations


def test_a_preset_switches_the_judge() -> None:
    chosen = PRESET.choose({"atr": "channels", "ssr": False})
    assert chosen == LhtSettings(atr=AtrSettings(channels=(2, 5)))
    judged = replace(PRESET, atr=AtrSettings(channels=(1,)))
    assert judged.choose({"atr": "hoyer"}).atr == AtrSettings()
    assert PRESETS["openai/clip-vit-base-patch16"].choose({"atr": "channels"}).atr == AtrSettings(
        channels=(4, 162, 189, 326, 429, 474, 633, 713)
    )
    with pytest.raises(InputError, match=r"its preset has none.*calibrate --no-labels"):
        replace(PRESET, channels=()).choose({"atr": "channels"})


def test_channels_survive_files(tmp_path: Path) -> None:
    path = PRESET.save(tmp_path / "lht.json")
    assert json.loads(path.read_text())["channels"] == [2, 5]
    assert Preset.load(path) == PRESET
    config = SegmenterConfig("bundled", lht={"atr": "channels", "she": False})
    assert SegmenterConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(UnknownNameError, match=r"'norm'.*hoyer, channels"):
        SegmenterConfig("bundled", lht={"atr": "norm"})
