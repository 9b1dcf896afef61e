"""Every last-block rule against its formula, written out in loops."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from lhtclip.clip.layers import Attention
from lhtclip.errors import UnknownNameError
from lhtclip.methods import METHODS, method_named
from lhtclip.methods.method import no_streams
from lhtclip.methods.resclip import RcsSettings, resclip
from tests import literal
from tests.methods import towers

ALL = {
    rule.name: rule
    for rule in (
        *(rule for rule in METHODS.values() if rule.feedback is None),
        resclip(RcsSettings(base="sclip")),
        resclip(RcsSettings(base="clearclip")),
    )
}
SIMPLE = [name for name, rule in METHODS.items() if rule.reads is no_streams]


@pytest.mark.parametrize("class_tokens", [1, 0])
@pytest.mark.parametrize("grid", [(3, 5), (4, 4), (4, 2), (1, 1)])
@pytest.mark.parametrize("method", ALL)
def test_rule_is_its_formula(method: str, grid: tuple[int, int], class_tokens: int) -> None:
    context = towers.context(grid, class_tokens=class_tokens)
    expected = towers.slowly(partial(literal.update, method), context)
    given = towers.update(ALL[method], context)
    # Ω is float32 in the package, as are SC-CLIP's similarities; all else is float64.
    accuracy = 1e-5 if method == "scclip" else 1e-6 if "clip" in method else 1e-12
    assert given.shape == expected.shape
    patches = slice(class_tokens, None)
    torch.testing.assert_close(given[:, patches], expected[:, patches], rtol=0, atol=accuracy)


@pytest.mark.parametrize("depth", [12, 24])
@pytest.mark.parametrize("method", ["resclip", "scclip", "gem", "clip-surgery"])
def test_layers_of_published_towers(method: str, depth: int) -> None:
    context = towers.context((3, 4), depth=depth, batch=1)
    expected = towers.slowly(partial(literal.update, method), context)
    torch.testing.assert_close(towers.update(METHODS[method], context), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("method", ALL)
def test_batch_is_images_one_by_one(method: str) -> None:
    context = towers.context((3, 5), batch=4)
    together = towers.update(ALL[method], context)
    alone = torch.cat([towers.update(ALL[method], one) for one in towers.one_by_one(context)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_rules_differ() -> None:
    context = towers.context((3, 5))
    outputs = [towers.update(rule, context) for rule in ALL.values()]
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other)[:, 1:].abs().max() > 0.05


@pytest.mark.parametrize("method", SIMPLE)
def test_rows_sum_to_one_and_those_of_sclip_to_two(method: str) -> None:
    """With the same value everywhere, the output is that value times the sum of a row."""
    context = towers.context((3, 5))
    layer = context.blocks[-1].attention
    assert isinstance(layer, Attention)
    value = towers.same_value(layer)
    rows = 2 if method == "sclip" else 1
    expected = rows * (layer.out_projection.weight @ value) + layer.out_projection.bias
    given = towers.update(method_named(method), context)
    torch.testing.assert_close(given, expected.expand_as(given))


@pytest.mark.parametrize("method", ALL)
def test_class_token_takes_part(method: str) -> None:
    context = towers.context((3, 5))
    before = towers.update(ALL[method], context)
    for stream in context.streams.values():
        stream[:, 0] += torch.linspace(-2, 2, towers.WIDTH)
    after = towers.update(ALL[method], context)
    assert torch.equal(before[:, 1:], after[:, 1:]) == (method == "maskclip")


@pytest.mark.parametrize(
    ("method", "residual", "mlp"),
    [
        ("clip", True, True),
        ("maskclip", True, True),
        ("sclip", True, True),
        ("clearclip", False, False),
        ("naclip", False, False),
        ("resclip", False, False),
        ("resclip-sclip", True, True),
        ("resclip-clearclip", False, False),
        ("scclip", False, False),
        ("gem", False, False),
        ("clip-surgery", False, False),
    ],
)
def test_what_the_published_code_keeps(method: str, residual: bool, mlp: bool) -> None:
    rule = ALL[method]
    assert (rule.name, rule.residual, rule.mlp) == (method, residual, mlp)
    assert "arXiv" in rule.source
    assert (rule.note == "") == (method in SIMPLE)


def test_table_of_rules() -> None:
    assert SIMPLE == ["clip", "maskclip", "sclip", "clearclip", "naclip"]
    assert [name for name in ALL if name in METHODS] == [
        *SIMPLE,
        *("resclip", "scclip", "gem", "clip-surgery"),
    ]
    assert all(rule.name == name for name, rule in METHODS.items())


def test_unknown_method_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown method 'naclp'\. Did you mean 'naclip'"):
        method_named("naclp")
    with pytest.raises(UnknownNameError, match="Available: clip, maskclip, sclip, clearclip"):
        method_named("resnet")
