"""The layers that lose what tells patches apart, on the paper's curves and on made ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhtclip.analysis.fall import falling_layers
from lhtclip.analysis.published import CURVES, VIT_B16, VIT_L14, Curve
from lhtclip.techniques.presets import PRESETS

PAPER = {
    VIT_B16: PRESETS["openai/clip-vit-base-patch16"].ssr.layers,
    VIT_L14: PRESETS["openai/clip-vit-large-patch14"].ssr.layers,
}
PUBLISHED = [curve for curve in CURVES if curve.measure == "discriminability" and not curve.ssr]


def of(*values: float) -> tuple[int, ...]:
    return falling_layers(dict(enumerate(values, start=1)))


@pytest.mark.parametrize("curve", PUBLISHED, ids=lambda c: f"{c.tower.layers}-{c.data}")
def test_the_papers_layers_follow_from_its_curves(curve: Curve) -> None:
    for share in (0.135, 0.15, 0.16):
        assert falling_layers(curve.by_layer, share=share) == PAPER[curve.tower]


def test_there_are_four_such_curves() -> None:
    assert len(PUBLISHED) == 4


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.6, 0.7, 0.8), ()),  # ends at its peak
        ((0.7,), ()),
        ((0.7, 0.7, 0.7), ()),  # flat
        ((0.6, 0.8, 0.79, 0.6), (4,)),  # 3 loses too little
        ((0.6, 0.8, 0.76, 0.6), (3, 4)),
        ((0.6, 0.8, 0.6, 0.75), (3, 4)),  # what recovers is held back, too
        (tuple(1 - 0.1 * x for x in range(4)), (2, 3, 4)),
        ((1.0, *(0.9 - 0.02 * x for x in range(11))), tuple(range(2, 13))),
        ((0.5, *(0.9 - 0.01 * x for x in range(9)), 0.809), (11,)),  # none loses 0.15: the most
    ],
)
def test_layers(values: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert of(*values) == expected


@given(st.lists(st.integers(0, 100), min_size=1, max_size=24), st.integers(1, 9))
def test_a_range_up_to_the_last_layer_whatever_the_scale(values: list[int], scale: int) -> None:
    found = of(*values)
    assert found == tuple(range(len(values) + 1 - len(found), len(values) + 1))
    assert (not found) == (max(values) <= min(values[values.index(max(values)) :]))
    assert of(*(scale * 2.0**-10 * value + 0.25 for value in values)) == found
