"""The published read-outs, and how measurements are compared with them."""

from __future__ import annotations

import math

import pytest

from lhtclip.analysis.published import (
    CURVES,
    DATA,
    HEADS,
    VIT_B16,
    VIT_L14,
    Curve,
    compare_curve,
    compare_heads,
    published_curves,
)
from lhtclip.datasets import DATASETS
from lhtclip.techniques.presets import PRESETS

ALL_HEADS = [(layer, head) for layer in range(1, 12) for head in range(1, 13)]


def curve(tower: object, measure: str, data: str, *, ssr: bool = False) -> Curve:
    (found,) = [
        each
        for each in CURVES
        if (each.tower, each.measure, each.data, each.ssr) == (tower, measure, data, ssr)
    ]
    return found


def test_every_curve_ends_with_the_last_layer_before_the_last() -> None:
    assert len(CURVES) == 12
    for each in CURVES:
        assert max(each.by_layer) == each.tower.layers - 1
        assert all(0 < value < 1 for value in each.values)


def test_values_of_the_figures() -> None:
    assert curve(VIT_B16, "discriminability", "Context").by_layer[6] == 0.747
    assert curve(VIT_B16, "alignment", "VOC").by_layer[10] == 0.712
    assert curve(VIT_L14, "discriminability", "VOC").by_layer[21] == 0.674
    assert curve(VIT_L14, "alignment", "ADE", ssr=True).by_layer[23] == 0.320


def test_the_papers_findings_are_in_its_curves() -> None:
    for each in CURVES:
        if each.measure == "discriminability":
            assert max(each.values) > each.values[-1]  # the last layers tell patches less apart
    for data in ("VOC", "ADE"):
        plain, reweighted = (
            curve(VIT_L14, "discriminability", data, ssr=ssr).by_layer for ssr in (False, True)
        )
        assert all(reweighted[layer] > plain[layer] for layer in range(20, 24))


def test_heads_are_in_order_and_those_of_the_preset() -> None:
    assert len(HEADS) == 17
    assert list(HEADS.values()) == sorted(HEADS.values(), reverse=True)
    assert tuple(HEADS) == PRESETS["openai/clip-vit-base-patch16"].ranking
    assert {layer for layer, _ in HEADS} == {6, 7, 8}


def test_curves_are_found_by_tower_and_pictures() -> None:
    assert set(DATA) <= set(DATASETS)
    assert [each.data for each in published_curves(VIT_B16, "voc20")] == ["VOC", "VOC"]
    assert len(published_curves(VIT_L14, "ade20k")) == 4
    assert published_curves(VIT_L14, "context59") == ()
    assert published_curves(VIT_B16, "scenes") == ()


def test_a_shifted_curve_agrees_but_for_the_shift() -> None:
    published = curve(VIT_B16, "discriminability", "VOC")
    measured = {layer: value + 0.05 for layer, value in published.by_layer.items()}
    found = compare_curve(published, measured | {12: 0.9})
    assert found.spearman == pytest.approx(1)
    assert found.difference == pytest.approx(0.05)
    assert found.spread == pytest.approx(0, abs=1e-12)
    measured[3] += 0.11
    assert compare_curve(published, measured).spread == pytest.approx(0.1)


def test_a_curve_of_other_layers_cannot_be_compared() -> None:
    found = compare_curve(curve(VIT_L14, "alignment", "VOC"), {1: 0.3})
    assert math.isnan(found.difference)
    assert math.isnan(found.spread)
    assert math.isnan(found.spearman)


def test_the_published_heads_agree_with_themselves() -> None:
    measured = dict.fromkeys(ALL_HEADS, 0.6) | HEADS
    found = compare_heads(measured)
    assert found.spearman == pytest.approx(1)
    assert found.overlap == 1
    assert found.first == (6, 11)
    assert list(found.places) == list(HEADS)
    assert sorted(found.places.values()) == list(range(1, 18))  # some are tied


def test_turned_round_they_do_not() -> None:
    measured = {head: 1 - HEADS.get(head, 0.4) for head in ALL_HEADS}
    found = compare_heads(measured)
    assert found.spearman == pytest.approx(-1)
    assert found.overlap == 0
    assert found.places[6, 11] == len(ALL_HEADS)
