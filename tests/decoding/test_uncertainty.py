"""Margin and entropy against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as arrays
from scipy import stats

from lhtclip.decoding.uncertainty import entropy, margin

FLOATS = {"min_value": 0, "max_value": 1}


@given(arrays.arrays(np.float32, (4, 3), elements=FLOATS))
def test_they_are_what_their_names_say(chances: np.ndarray) -> None:
    chances += np.float32(1e-3)
    given, ordered = torch.from_numpy(chances), np.sort(chances, axis=0)
    np.testing.assert_allclose(margin(given), ordered[-1] - ordered[-2])
    expected = stats.entropy(chances.astype(np.float64), axis=0, base=4)
    np.testing.assert_allclose(entropy(given), expected, atol=1e-6)


def test_certain_undecided_and_single_classes() -> None:
    certain, undecided = torch.tensor([1.0, 0, 0]), torch.full((3,), 1 / 3)
    assert (margin(certain), entropy(certain)) == (1, 0)
    assert margin(undecided) == 0
    assert float(entropy(undecided)) == pytest.approx(1)
    one = torch.tensor([0.4])
    assert (float(margin(one)), float(entropy(one))) == (pytest.approx(0.4), 0)
