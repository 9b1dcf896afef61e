"""Every last-block rule against its formula, written out in loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lhtclip.attention import RULES, Context, rule_named
from lhtclip.clip.layers import Attention
from lhtclip.errors import UnknownNameError
from tests import literal

WIDTH, HEADS = 24, 3


def attention(*, seed: int = 0) -> Attention:
    layer = Attention(WIDTH, HEADS).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for weight in layer.parameters():
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    return layer


def tokens(grid: tuple[int, int], *, batch: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 1 + grid[0] * grid[1], WIDTH)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("grid", [(3, 5), (4, 2), (1, 1)])
@pytest.mark.parametrize("method", RULES)
def test_rule_is_its_formula(method: str, grid: tuple[int, int]) -> None:
    layer, x = attention(), tokens(grid)
    weights = literal.AttentionWeights.of(layer.state_dict(), "", HEADS)
    expected = [literal.attention(method, image.numpy(), weights, grid) for image in x]
    given = rule_named(method).mix(layer, x, Context(grid=grid))
    # Ω is float32 in the package; without it everything is float64.
    accuracy = 1e-6 if method == "naclip" else 1e-12
    np.testing.assert_allclose(given.numpy(), np.stack(expected), rtol=0, atol=accuracy)


def test_rules_differ() -> None:
    layer, x = attention(), tokens((3, 5))
    outputs = [rule.mix(layer, x, Context(grid=(3, 5))) for rule in RULES.values()]
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other).abs().max() > 0.05


@pytest.mark.parametrize("method", RULES)
def test_rows_sum_to_one_and_those_of_sclip_to_two(method: str) -> None:
    """With the same value everywhere, the output is that value times the sum of a row."""
    layer = attention()
    value = torch.linspace(-1, 1, WIDTH, dtype=torch.float64)
    layer.in_projection.weight[2 * WIDTH :] = 0
    layer.in_projection.bias[2 * WIDTH :] = value
    rows = 2 if method == "sclip" else 1
    expected = rows * (layer.out_projection.weight @ value) + layer.out_projection.bias
    given = rule_named(method).mix(layer, tokens((3, 5)), Context(grid=(3, 5)))
    torch.testing.assert_close(given, expected.expand_as(given))


@pytest.mark.parametrize("method", RULES)
def test_class_token_takes_part(method: str) -> None:
    layer, x = attention(), tokens((3, 5))
    changed = x.clone()
    changed[:, 0] += 1
    before, after = (rule_named(method).mix(layer, t, Context(grid=(3, 5))) for t in (x, changed))
    assert torch.equal(before[:, 1:], after[:, 1:]) == (method == "maskclip")


@pytest.mark.parametrize(
    ("method", "residual", "mlp"),
    [
        ("clip", True, True),
        ("maskclip", True, True),
        ("sclip", True, True),
        ("clearclip", False, False),
        ("naclip", False, False),
    ],
)
def test_what_the_published_code_keeps(method: str, residual: bool, mlp: bool) -> None:
    rule = rule_named(method)
    assert (rule.name, rule.residual, rule.mlp) == (method, residual, mlp)
    assert "arXiv" in rule.source


def test_table_of_rules() -> None:
    assert list(RULES) == ["clip", "maskclip", "sclip", "clearclip", "naclip"]


def test_unknown_method_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown method 'naclp'\. Did you mean 'naclip'"):
        rule_named("naclp")
    with pytest.raises(UnknownNameError, match="Available: clip, maskclip, sclip, clearclip"):
        rule_named("resnet")
