"""RCS: what is borrowed, from where, and what the base keeps."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lhtclip.clip.layers import Attention
from lhtclip.errors import InputError, UnknownNameError
from lhtclip.methods import METHODS
from lhtclip.methods.naclip import neighbourhood
from lhtclip.methods.resclip import BASES, RcsSettings, base_outputs, resclip, update
from tests import literal
from tests.methods import towers

GRID = (3, 5)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("class_tokens", [1, 0])
def test_borrowing_nothing_is_the_base(base: Any, class_tokens: int) -> None:
    tower = towers.tower(GRID, class_tokens=class_tokens)
    method = resclip(RcsSettings(base, scale=1.0, share=0.0))
    assert torch.equal(towers.update(method, tower), towers.update(METHODS[base], tower))


def test_borrowing_everything_is_the_same_for_all_bases() -> None:
    tower = towers.tower(GRID)
    outputs = [towers.update(resclip(RcsSettings(base, share=1.0)), tower) for base in BASES]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_borrowing_from_a_twin_of_the_last_block_is_clip() -> None:
    tower = towers.tower(GRID)
    blocks = [*tower.blocks[:3], tower.blocks[-1], tower.blocks[-1]]
    streams = {**tower.streams, 3: tower.streams[4]}  # what enters layers 4 and 5
    twins = dataclasses.replace(tower, blocks=blocks, streams=streams)
    method = resclip(RcsSettings(scale=1.0, share=1.0, layers=(4,)))
    torch.testing.assert_close(towers.update(method, twins), towers.update(METHODS["clip"], twins))


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (RcsSettings(share=0.6), {"share": 0.6}),
        (RcsSettings("sclip", 1.5, 0.2), {"base": "sclip", "scale": 1.5, "share": 0.2}),
        (RcsSettings(layers=(1, 4)), {"layers": (1, 4)}),
        (RcsSettings("clearclip", layers=(2,)), {"base": "clearclip", "layers": (2,)}),
    ],
)
def test_every_setting_counts(settings: RcsSettings, options: Any) -> None:
    tower = towers.tower(GRID)
    given = towers.update(resclip(settings), tower)
    expected = towers.slowly(partial(literal.resclip, **options), tower)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-6)
    assert (given - towers.update(METHODS["resclip"], tower)).abs().max() > 0.05


@pytest.mark.parametrize(("base", "rows"), [("naclip", 1), ("sclip", 2), ("clearclip", 1)])
def test_rows_sum_to_the_scale(base: Any, rows: int) -> None:
    """With the same value everywhere, the output is that value times the sum of a row."""
    tower = towers.tower(GRID)
    layer = tower.blocks[-1].attention
    assert isinstance(layer, Attention)
    value = towers.same_value(layer)
    total = 2.0 * (0.7 * rows + 0.3)
    expected = total * (layer.out_projection.weight @ value) + layer.out_projection.bias
    given = towers.update(resclip(RcsSettings(base, scale=2.0, share=0.3)), tower)
    torch.testing.assert_close(given, expected.expand_as(given))


# Gain and bias, for whoever changes the base's scores


@pytest.mark.parametrize("base", BASES)
def test_gain_and_bias_change_the_scores(base: Any) -> None:
    tower = towers.tower(GRID)
    last = tower.last()
    block, x = tower.blocks[-1], last.normed
    generator = torch.Generator().manual_seed(2)
    bias = torch.randn(2, 1, 16, 16, generator=generator, dtype=torch.float64)
    omega = neighbourhood(GRID, 5.0, class_tokens=1) if base == "naclip" else 0.0
    names = {"naclip": ["keys"], "sclip": ["queries", "keys"], "clearclip": ["queries"]}[base]
    expected = torch.zeros(())
    for name in names:
        features: Tensor = getattr(block.attention, name)(x)
        scores = 1.7 * block.attention.scale * features @ features.transpose(2, 3) + bias + omega
        expected = expected + scores.softmax(dim=-1) @ block.attention.values(x)
    given = base_outputs(last, RcsSettings(base), gain=1.7, bias=bias)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-6)


def test_gain_and_bias_leave_what_is_borrowed() -> None:
    tower = towers.tower(GRID)
    last, settings = tower.last(), RcsSettings(share=1.0)
    bias = torch.linspace(-3, 3, 16, dtype=torch.float64)
    assert torch.equal(update(last, settings, gain=2.0, bias=bias), update(last, settings))


# Layers


@pytest.mark.parametrize(
    ("depth", "layers"),
    [
        (12, (6, 7, 8, 9)),
        (24, (11, 12, 13, 14, 15, 16, 17, 18)),
        (32, tuple(range(14, 25))),
        (2, (1,)),
    ],
)
def test_a_third_of_the_tower_is_borrowed_from(depth: int, layers: tuple[int, ...]) -> None:
    assert RcsSettings().layers_of(depth) == layers
    assert resclip(RcsSettings()).layers_read(depth) == {layer - 1 for layer in layers}


def test_released_layers_in_a_deep_tower() -> None:
    assert RcsSettings(layers=(6, 7, 8, 9)).layers_of(24) == (6, 7, 8, 9)


@pytest.mark.parametrize("layers", [(0,), (5,), (1, 6), ()])
def test_layers_that_are_not_there(layers: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="before the last one; this model has 4 of them"):
        RcsSettings(layers=layers).layers_of(5)


def test_one_layer_has_nothing_to_borrow_from() -> None:
    with pytest.raises(InputError, match="this model has 0 of them"):
        RcsSettings().layers_of(1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", 0.0),
        ("sigma", 0.0),
        ("scale", float("nan")),
        ("share", -0.1),
        ("share", 1.1),
        ("share", "half"),
    ],
)
def test_settings_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"ResCLIP's {name} must be"):
        RcsSettings(**{name: value})


def test_unknown_base() -> None:
    with pytest.raises(UnknownNameError, match="Unknown base of ResCLIP 'nclip'"):
        RcsSettings(base="nclip")  # pyright: ignore[reportArgumentType]
