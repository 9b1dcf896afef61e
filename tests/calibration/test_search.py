"""The search on scores that are known: it finds what is best, and asks no more than it says."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhtclip.calibration.search import Findings, Grid, brief, most_candidates, search
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings

RANKING = tuple((layer, head) for layer in (6, 7, 8) for head in range(1, 13))
BASE = Findings(depth=12, ranking=RANKING, layers=2, atr=AtrSettings(0.45))


def separable(settings: LhtSettings) -> float:
    """Highest at SSR 9-11 α 0.2 and SHE with 5 heads, β 0.6, rows, centred."""
    score = 1.0 if settings.atr else 0.0
    if settings.ssr:
        score += 1 - abs(settings.ssr.alpha - 0.2) - 0.1 * abs(len(settings.ssr.layers) - 3)
    if settings.she:
        she = settings.she
        score += 1 - abs(she.beta - 0.6) - 0.01 * abs(len(she.heads) - 5)
        score += 0.1 * she.centred + 0.1 * (she.normalise == "row") - 0.1 * she.unit_heads
    return score


def test_every_coordinate_is_found_where_they_do_not_mix() -> None:
    found = search(BASE, separable)
    assert found.best == LhtSettings(
        ssr=SsrSettings((9, 10, 11), 0.2),
        atr=AtrSettings(0.45),
        she=SheSettings(RANKING[:5], beta=0.6, normalise="row", centred=True),
    )
    assert found.scores[found.best] == max(found.scores.values())


def test_scores_never_fall_from_step_to_step_behind_the_first_she() -> None:
    steps = search(BASE, separable).steps
    assert [step.name for step in steps] == [
        "no technique",
        "ATR",
        "SSR",
        "SHE: similarity",
        "SHE: heads",
        "SHE: weights",
        "SHE: β",
        "SSR with SHE",
    ]
    assert steps[0].chosen == OFF
    assert all(before.score <= after.score for before, after in pairwise(steps))


def test_of_equals_the_papers_come_first() -> None:
    found = search(BASE, lambda settings: float(settings.she is not None))
    assert found.best == LhtSettings(
        ssr=None, atr=AtrSettings(0.45), she=SheSettings(RANKING[:10], beta=0.4)
    )
    assert search(BASE, lambda settings: 0.0).best == OFF


def test_a_technique_that_never_helps_is_left_out() -> None:
    def without_she(settings: LhtSettings) -> float:
        return separable(replace(settings, she=None)) - (settings.she is not None)

    assert search(BASE, without_she).best == LhtSettings(
        ssr=SsrSettings((9, 10, 11), 0.2), atr=AtrSettings(0.45)
    )


def test_the_second_look_at_ssr_goes_on_from_the_first() -> None:
    def many_layers(settings: LhtSettings) -> float:
        return len(settings.ssr.layers) if settings.ssr else 0.0

    best = search(BASE, many_layers).best
    assert best.ssr is not None
    assert best.ssr.layers == (8, 9, 10, 11)


def test_a_small_tower() -> None:
    findings = Findings(depth=2, ranking=((1, 2), (1, 1)), layers=1, atr=AtrSettings())
    found = search(findings, separable)
    layers = {settings.ssr.layers for settings in found.scores if settings.ssr}
    heads = {settings.she.heads for settings in found.scores if settings.she}
    assert layers == {(1,)}
    assert heads == {((1, 2), (1, 1))}


@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 12), st.integers(1, 40))
def test_each_is_asked_once_and_within_the_bound(
    seed: int, depth: int, layers: int, heads: int
) -> None:
    findings = Findings(
        depth=depth,
        ranking=tuple((1, head) for head in range(1, heads + 1)),
        layers=min(layers, depth - 1),
        atr=AtrSettings(),
        grid=Grid(alphas=(0.1, 0.3), betas=(0.4, 0.8)),
    )
    asked: list[LhtSettings] = []

    def chance(settings: LhtSettings) -> float:
        asked.append(settings)
        return random.Random(f"{seed} {settings}").random()

    found = search(findings, chance)
    assert len(asked) == len(set(asked)) == len(found.scores) <= most_candidates(findings)
    assert found.scores[found.best] == max(found.scores.values())
    for settings in asked:
        if settings.ssr:
            first = settings.ssr.layers[0]
            assert settings.ssr.layers == tuple(range(first, depth))
            assert first >= 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (OFF, "no technique"),
        (LhtSettings(ssr=SsrSettings((10, 11))), "SSR 10-11 α 0.1"),
        (LhtSettings(ssr=SsrSettings((7,), 0.05)), "SSR 7-7 α 0.05"),
        (
            LhtSettings(
                SsrSettings((10, 11)),
                AtrSettings(0.5),
                SheSettings(((6, 11), (8, 12)), 0.4, "row", "own", True, True),
            ),
            "ATR 0.5, SSR 10-11 α 0.1, SHE 2 heads β 0.4 row unit centred",
        ),
        (LhtSettings(she=SheSettings(((6, 11),))), "SHE 1 heads β 0.4"),
    ],
)
def test_brief(settings: LhtSettings, expected: str) -> None:
    assert brief(settings) == expected
