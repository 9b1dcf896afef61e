"""CLIP Surgery and GEM: a stream of their own, and what their attention does not depend on."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from lhtclip.clip.layers import Attention
from lhtclip.errors import UnknownNameError
from lhtclip.methods import METHODS, gem
from lhtclip.methods.second_stream import SecondStreamSettings
from tests import literal
from tests.methods import towers

GRID = (3, 5)
SECOND_STREAM = ["gem", "clip-surgery"]


def attentions(tower: towers.Tower) -> list[Attention]:
    return [block.attention for block in tower.blocks if isinstance(block.attention, Attention)]


@pytest.mark.parametrize(
    ("depth", "layers"),
    [(12, [6, 7, 8, 9, 10]), (24, [18, 19, 20, 21, 22]), (7, [1, 2, 3, 4, 5]), (5, [0, 1, 2, 3])],
)
@pytest.mark.parametrize("method", SECOND_STREAM)
def test_the_last_six_blocks_and_no_others(method: str, depth: int, layers: list[int]) -> None:
    """`towers.update` shows a method nothing else; X^{L-1} is there for all."""
    assert list(METHODS[method].layers_read(depth)) == layers


@pytest.mark.parametrize("method", SECOND_STREAM)
def test_a_tower_of_one_block(method: str) -> None:
    tower = towers.tower(GRID, depth=1, restore=lambda patches: patches * torch.nan)
    expected = towers.slowly(partial(literal.update, method), tower)
    given = towers.update(METHODS[method], tower)
    torch.testing.assert_close(given, expected)
    assert given.isfinite().all()  # its only stream is restored before it gets here


@pytest.mark.parametrize("class_tokens", [1, 0])
@pytest.mark.parametrize("method", SECOND_STREAM)
def test_patches_are_restored_before_the_last_block(method: str, class_tokens: int) -> None:
    def restore(patches: Tensor) -> Tensor:
        assert patches.shape[1:] == (15, towers.WIDTH)
        return patches.roll(1, dims=1) * 3

    tower = towers.tower(GRID, class_tokens=class_tokens, restore=restore)
    expected = towers.slowly(partial(literal.update, method), tower)
    given = towers.update(METHODS[method], tower)
    torch.testing.assert_close(given, expected)
    plain = towers.update(METHODS[method], towers.tower(GRID, class_tokens=class_tokens))
    assert torch.equal(given[:, :class_tokens], plain[:, :class_tokens])
    assert (given - plain)[:, class_tokens:].abs().max() > 1


@pytest.mark.parametrize("method", SECOND_STREAM)
def test_attention_that_writes_nothing_leaves_the_stream_it_began_with(method: str) -> None:
    tower = towers.tower(GRID, depth=8)
    for attention in attentions(tower):
        for weight in attention.out_projection.parameters():
            weight.zero_()
    assert torch.equal(towers.update(METHODS[method], tower), tower.streams[2])


@pytest.mark.parametrize("method", SECOND_STREAM)
def test_patches_have_no_places(method: str) -> None:
    order = torch.randperm(15, generator=torch.Generator().manual_seed(3))
    tower = towers.tower(GRID)
    given = towers.update(METHODS[method], towers.permuted(tower, order))
    expected = towers.update(METHODS[method], tower)
    torch.testing.assert_close(given[:, 1:], expected[:, 1:][:, order])


def test_surgery_asks_neither_queries_nor_keys() -> None:
    tower = towers.tower(GRID)
    expected = towers.update(METHODS["clip-surgery"], tower)
    for attention in attentions(tower):
        attention.in_projection.weight[: 2 * towers.WIDTH] = 0
    assert torch.equal(towers.update(METHODS["clip-surgery"], tower), expected)


def test_gem_does_not_ask_how_long_queries_and_keys_are() -> None:
    tower = towers.tower(GRID)
    expected = towers.update(METHODS["gem"], tower)
    for attention in attentions(tower):
        for weight in attention.in_projection.parameters():
            weight[: 2 * towers.WIDTH] *= 7
    torch.testing.assert_close(towers.update(METHODS["gem"], tower), expected)


def test_gem_treats_queries_and_keys_alike() -> None:
    tower = towers.tower(GRID)
    expected = towers.update(METHODS["gem"], tower)
    for attention in attentions(tower):
        for weight in attention.in_projection.parameters():
            weight[: 2 * towers.WIDTH] = weight[: 2 * towers.WIDTH].roll(towers.WIDTH, dims=0)
    torch.testing.assert_close(towers.update(METHODS["gem"], tower), expected)


def test_gem_with_one_token_takes_its_value() -> None:
    tower = towers.tower((1, 1), class_tokens=0)
    attention, x = tower.blocks[-1].attention, tower.streams[4]
    expected = attention.merge(attention.values(x))
    torch.testing.assert_close(gem.self_self(attention, x), expected)


def test_temperature_of_gem_is_each_image_s_own() -> None:
    tower = towers.tower(GRID)
    attention, x = tower.blocks[-1].attention, tower.streams[4]
    longer = torch.cat([x[:1], 4 * x[1:]])
    given, plain = gem.self_self(attention, longer), gem.self_self(attention, x)
    torch.testing.assert_close(given[0], plain[0])
    assert (given[1] - plain[1]).abs().max() > 0.05


@pytest.mark.parametrize(
    ("method", "rule"), [("gem", "antialiased"), ("clip-surgery", "bilinear"), ("sclip", "bicubic")]
)
def test_each_has_its_own_rule_for_positions(method: str, rule: str) -> None:
    assert METHODS[method].position_rule == rule
    if method != "sclip":
        assert METHODS[method].recorded_settings()["positions"] == rule
        common = replace(METHODS[method], settings=SecondStreamSettings())
        assert common.position_rule == "bicubic"


def test_an_unknown_rule_for_positions_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"'bicubik'\. Did you mean 'bicubic'"):
        SecondStreamSettings(positions="bicubik")
