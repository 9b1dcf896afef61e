"""The streaming AUC against scikit-learn's, and against all pairs counted one by one."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from lhtclip.analysis.discriminability import UNLABELLED
from lhtclip.analysis.pairs import PairAuc
from tests.analysis.exact_auc import pair_auc


def population(patches: int, classes: int, *, signal: float, seed: int) -> tuple[Tensor, Tensor]:
    """Features that lean towards a direction of their class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (patches,), generator=generator)
    directions = torch.randn(classes, 16, generator=torch.Generator().manual_seed(99))
    features = torch.randn(patches, 16, generator=generator) + signal * directions[labels]
    return features, labels


def test_all_drawn_pairs_are_what_they_should_be() -> None:
    labels = torch.tensor([0, 0, 1, UNLABELLED, 1, 2, 1])
    identity = torch.eye(7)
    pairs = PairAuc(per_batch=500, limit=10_000)
    pairs.add(labels, [("identity", identity), ("class", torch.eye(5)[labels])])
    estimates = pairs.estimates()
    assert estimates["class"].auc == 1.0
    assert estimates["identity"].auc == 0.5  # a patch is never paired with itself
    assert estimates["class"].positives == 500
    assert estimates["class"].negatives == 500


def test_every_pair_is_equally_likely() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    codes = torch.tensor([[math.cos(a), math.sin(a)] for a in (0, 0.1, 0.3, 0.7, 1.5, 3.1)])
    pairs = PairAuc(per_batch=20_000, limit=10**6)
    pairs.add(labels, [("codes", codes)])
    for pool, same in ((pairs._same, True), (pairs._different, False)):
        expected = [
            float(codes[i] @ codes[j])
            for i, j in combinations(range(6), 2)
            if bool(labels[i] == labels[j]) == same
        ]
        drawn = pool.scores["codes"].numpy()
        share = [np.isclose(drawn, value, atol=1e-5).mean() for value in expected]
        assert share == pytest.approx([1 / len(expected)] * len(expected), abs=0.02)


def test_estimate_is_near_the_exact_value_and_its_interval_covers_it() -> None:
    batches = [population(150, 5, signal=0.5, seed=seed) for seed in range(30)]
    exact = float(np.mean([pair_auc(*batch) for batch in batches]))
    covered = 0
    for seed in range(6):
        pairs = PairAuc(per_batch=300, seed=seed)
        for features, labels in batches:
            pairs.add(labels, [("x", features)])
        estimate = pairs.estimates()["x"]
        assert estimate.auc == pytest.approx(exact, abs=0.015)
        covered += estimate.low <= exact <= estimate.high
    assert covered >= 5


def test_memory_is_bounded_and_thinning_does_not_shift() -> None:
    batches = [population(150, 5, signal=0.5, seed=seed) for seed in range(40)]
    exact = float(np.mean([pair_auc(*batch) for batch in batches]))
    pairs = PairAuc(per_batch=1000, limit=3000)
    for features, labels in batches:
        pairs.add(labels, [("x", features), ("y", -features)])
    estimates = pairs.estimates()
    assert estimates["x"].positives <= 3000
    assert estimates["x"].negatives <= 3000
    assert estimates["x"].positives >= 1000
    assert estimates["x"].auc == pytest.approx(exact, abs=0.03)
    assert estimates["x"].auc == estimates["y"].auc


def test_batches_without_pairs_and_single_batches() -> None:
    pairs = PairAuc()
    pairs.add(torch.tensor([UNLABELLED, UNLABELLED]), [("x", torch.randn(2, 4))])
    assert math.isnan(pairs.estimates()["x"].auc)
    pairs.add(torch.tensor([0, 0, 1]), [("x", torch.randn(3, 4))])
    assert 0 <= pairs.estimates()["x"].auc <= 1
    alone = PairAuc()
    alone.add(torch.tensor([0, 0, 1]), [("x", torch.randn(3, 4))])
    assert math.isnan(alone.estimates()["x"].low)


def test_same_seed_same_estimate() -> None:
    def run() -> float:
        pairs = PairAuc(per_batch=50, seed=3)
        for seed in range(4):
            features, labels = population(60, 3, signal=0.3, seed=seed)
            pairs.add(labels, [("x", features)])
        return pairs.estimates()["x"].auc

    assert run() == run()
