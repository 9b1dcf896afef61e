"""Every method against its formula, written out in loops."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import pytest
import torch

from lhtclip.clip.layers import Attention
from lhtclip.errors import InputError, UnknownNameError
from lhtclip.methods import METHODS, Method, method_named
from lhtclip.methods.method import no_streams
from lhtclip.methods.naclip import NaclipSettings
from lhtclip.methods.pearl import PearlSettings
from lhtclip.methods.resclip import RcsSettings, resclip
from lhtclip.methods.rfclip import RfclipSettings
from lhtclip.methods.scclip import ScclipSettings
from lhtclip.methods.second_stream import SecondStreamSettings
from tests import literal
from tests.methods import towers

ALL = {
    method.name: method
    for method in (
        *(method for method in METHODS.values() if method.second_pass is None),
        resclip(RcsSettings(base="sclip")),
        resclip(RcsSettings(base="clearclip")),
    )
}
SIMPLE = [name for name, method in METHODS.items() if method.reads is no_streams]
# Ω is float32 in the package, as are the similarities of two methods; all else is float64.
TOLERANCES = {"scclip": 1e-5, "rfclip": 1e-5, "naclip": 1e-6, "resclip": 1e-6}


@pytest.mark.parametrize("class_tokens", [1, 0])
@pytest.mark.parametrize("grid", [(3, 5), (4, 4), (4, 2), (1, 1)])
@pytest.mark.parametrize("method", ALL)
def test_method_is_its_formula(method: str, grid: tuple[int, int], class_tokens: int) -> None:
    tower = towers.tower(grid, class_tokens=class_tokens)
    expected = towers.slowly(partial(literal.update, method), tower)
    given = towers.update(ALL[method], tower)
    accuracy = TOLERANCES.get(method, 1e-12)
    assert given.shape == expected.shape
    patches = slice(class_tokens, None)
    torch.testing.assert_close(given[:, patches], expected[:, patches], rtol=0, atol=accuracy)


@pytest.mark.parametrize("depth", [12, 24])
@pytest.mark.parametrize("method", ["resclip", "scclip", "gem", "clip-surgery", "rfclip"])
def test_layers_of_published_towers(method: str, depth: int) -> None:
    tower = towers.tower((3, 4), depth=depth, batch=1)
    expected = towers.slowly(partial(literal.update, method), tower)
    torch.testing.assert_close(towers.update(METHODS[method], tower), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("method", ALL)
def test_batch_is_images_one_by_one(method: str) -> None:
    tower = towers.tower((3, 5), batch=4)
    together = towers.update(ALL[method], tower)
    alone = torch.cat([towers.update(ALL[method], one) for one in towers.one_by_one(tower)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_rules_differ() -> None:
    tower = towers.tower((3, 5))
    outputs = [towers.update(method, tower) for method in ALL.values()]
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other)[:, 1:].abs().max() > 0.05


@pytest.mark.parametrize("method", SIMPLE)
def test_rows_sum_to_one_and_those_of_sclip_to_two(method: str) -> None:
    """With the same value everywhere, the output is that value times the sum of a row."""
    tower = towers.tower((3, 5))
    layer = tower.blocks[-1].attention
    assert isinstance(layer, Attention)
    value = towers.same_value(layer)
    rows = 2 if method == "sclip" else 1
    expected = rows * (layer.out_projection.weight @ value) + layer.out_projection.bias
    given = towers.update(method_named(method), tower)
    torch.testing.assert_close(given, expected.expand_as(given))


@pytest.mark.parametrize("method", ALL)
def test_class_token_takes_part(method: str) -> None:
    tower = towers.tower((3, 5))
    before = towers.update(ALL[method], tower)
    for stream in tower.streams.values():
        stream[:, 0] += torch.linspace(-2, 2, towers.WIDTH)
    after = towers.update(ALL[method], tower)
    assert torch.equal(before[:, 1:], after[:, 1:]) == (method == "maskclip")


def test_methods_are_filed_under_their_names() -> None:
    for name, method in METHODS.items():
        assert method.name == name
        assert "arXiv" in method.source


@pytest.mark.parametrize("base", ["naclip", "sclip", "clearclip"])
def test_resclip_keeps_what_its_base_keeps(base: Literal["naclip", "sclip", "clearclip"]) -> None:
    method = resclip(RcsSettings(base=base))
    assert (method.residual, method.mlp) == (METHODS[base].residual, METHODS[base].mlp)


# Settings


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("naclip", NaclipSettings(sigma=1.0)),
        ("resclip", RcsSettings(share=0.9)),
        ("resclip", RcsSettings(sigma=1.0)),
        ("resclip", RcsSettings(layers=(1,))),
        ("scclip", ScclipSettings(beta=0.9)),
        ("gem", SecondStreamSettings(blocks=2)),
        ("pearl", PearlSettings(alpha=1.0)),
        ("pearl", PearlSettings(steps=1)),
        ("rfclip", RfclipSettings(beta=0.0)),
        ("clip-surgery", SecondStreamSettings(blocks=2)),
    ],
)
def test_settings_change_what_comes_out_and_what_is_recorded(method: str, settings: object) -> None:
    tower = towers.tower((3, 5))
    published, other = METHODS[method], replace(METHODS[method], settings=settings)
    assert (towers.update(published, tower) - towers.update(other, tower)).abs().max() > 0.01
    assert published.recorded_settings() != other.recorded_settings()


def test_settings_that_could_not_be_recorded_are_refused() -> None:
    for settings in ({"beta": 1.0}, RcsSettings, lambda: 9):
        with pytest.raises(InputError, match="settings of the method 'mine' must be a frozen data"):
            Method("mine", METHODS["sclip"].update, True, True, "this test", settings=settings)
    with pytest.raises(InputError, match="levels of ScclipSettings must be Levels or None"):
        ScclipSettings(levels=torch.ones(2))  # pyright: ignore[reportArgumentType]


def test_unknown_method_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown method 'naclp'\. Did you mean 'naclip'"):
        method_named("naclp")
    with pytest.raises(UnknownNameError, match="Available: clip, maskclip, sclip, clearclip"):
        method_named("resnet")
