"""Histograms of Hoyer scores, and the threshold that their gap gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lhtclip.analysis.sparsity import histogram, quantile, sparsity_gap


def counts(*parts: NDArray[np.float64]) -> list[int]:
    return histogram(torch.from_numpy(np.clip(np.concatenate(parts), 0, 1))).tolist()


def bell(middle: float, spread: float, tokens: int, *, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(middle, spread, tokens)


BULK = bell(0.22, 0.02, 100_000)


def test_histogram_counts_each_score_once_and_one_belongs_to_the_last_bin() -> None:
    found = histogram(torch.tensor([[0.0, 0.0009], [0.001, 1.0]]))
    assert found[0] == 2
    assert found[1] == 1
    assert found[-1] == 1
    assert found.sum() == 4
    assert histogram(torch.rand(50), bins=7).shape == (7,)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0]),
)
def test_quantile_is_numpys_within_a_bin(scores: list[float], share: float) -> None:
    values = np.asarray(scores)
    found = quantile(histogram(torch.from_numpy(values)).tolist(), share)
    bounds = [
        np.quantile(values, share, method=method) for method in ("inverted_cdf", "higher", "lower")
    ]
    assert min(bounds) - 0.0011 <= found <= max(bounds) + 0.0011


def test_quantile_of_nothing() -> None:
    assert math.isnan(quantile([0, 0, 0], 0.5))


@pytest.mark.parametrize(
    ("tail", "low", "high"),
    [
        (bell(0.80, 0.03, 2000), 0.35, 0.65),  # far away: the middle of the empty stretch
        (bell(0.50, 0.03, 2000), 0.32, 0.42),  # near
        (bell(0.80, 0.03, 30), 0.35, 0.75),  # rare, 3 tokens of 10,000
        (np.random.default_rng(1).uniform(0.5, 0.9, 300), 0.35, 0.5),  # broad
        (bell(0.40, 0.05, 5000), 0.28, 0.36),  # joined to the bulk: the least dense stretch
    ],
)
def test_a_tail_is_parted_from_the_bulk(tail: NDArray[np.float64], low: float, high: float) -> None:
    found = sparsity_gap(counts(BULK, tail))
    assert found is not None
    assert low < found < high


def test_middle_of_an_empty_stretch_exactly() -> None:
    scores = [0] * 1000
    scores[200:260] = [1000] * 60
    scores[700:760] = [50] * 60
    assert sparsity_gap(scores) == pytest.approx((0.26 + 0.70) / 2)


def test_the_widest_of_several_empty_stretches() -> None:
    scores = [0] * 1000
    scores[200:260] = [1000] * 60
    scores[350:400] = [50] * 50
    scores[800:850] = [50] * 50
    assert sparsity_gap(scores) == pytest.approx(0.6)


@pytest.mark.parametrize(
    "scores",
    [
        counts(BULK),  # one bell
        counts(BULK, bell(0.30, 0.04, 20_000)),  # with a shoulder
        counts(BULK, np.full(5, 0.9)),  # a handful of stragglers
        counts(bell(0.22, 0.02, 3000), np.full(15, 0.31)),  # few tokens in all
        counts(np.random.default_rng(0).exponential(0.08, 100_000)),  # a falling tail
        counts(BULK, bell(0.7, 0.03, 150_000)),  # two halves: the larger is no tail
        [0] * 1000,
        [5],
    ],
)
def test_without_a_tail_there_is_no_threshold(scores: list[int]) -> None:
    assert sparsity_gap(scores) is None


def test_chance_makes_no_tails() -> None:
    for seed in range(40):
        assert sparsity_gap(counts(bell(0.25, 0.03, 4000, seed=seed))) is None


def test_bins_do_not_matter_much() -> None:
    scores = torch.from_numpy(np.concatenate([BULK, bell(0.8, 0.03, 2000)]))
    fine, coarse = (sparsity_gap(histogram(scores, bins=bins).tolist()) for bins in (1000, 200))
    assert fine == pytest.approx(coarse, abs=0.02)
