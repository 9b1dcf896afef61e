"""Prompts of a class that count together, against a literal loop over pixels and classes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lhtclip.decoding.aliases import AliasSettings, groups_of, together
from lhtclip.errors import InputError

OWNERS = (0, 0, 1, 2, 2, 2, 4)
GENERATOR = torch.Generator().manual_seed(0)
COSINES = 0.2 + 0.05 * torch.randn(3, 4, 7, generator=GENERATOR, dtype=torch.float64)
IMAGE = 0.2 + 0.05 * torch.randn(7, generator=GENERATOR, dtype=torch.float64)


def literal(cosines: list[float], image: list[float], *, tau: float, tem: float) -> float:
    """One class at one patch, as VIP's code has it: scaled logits, then divided by the scale."""
    share = [math.exp(g / tem) for g in image]
    weights = [each / sum(share) for each in share]
    mean = sum(weights) / len(weights)
    logits = [40 * s * w / mean for s, w in zip(cosines, weights, strict=True)]
    return math.log(sum(math.exp(tau * each) for each in logits)) / tau / 40


@pytest.mark.parametrize(("tau", "tem"), [(4.0, 1.0), (1.5, 0.02)])
def test_against_the_literal_formula(tau: float, tem: float) -> None:
    groups, owners = groups_of(OWNERS, None)
    assert owners == (0, 1, 2, 4)
    settings = AliasSettings(tau, tem)
    given = together(COSINES, groups, IMAGE, scale=40.0, settings=settings)
    expected = torch.empty(3, 4, 4, dtype=torch.float64)
    for row in range(3):
        for column in range(4):
            for place, owner in enumerate(owners):
                own = [query for query in range(7) if OWNERS[query] == owner]
                expected[row, column, place] = literal(
                    [float(COSINES[row, column, query]) for query in own],
                    [float(IMAGE[query]) for query in own],
                    tau=tau,
                    tem=tem,
                )
    torch.testing.assert_close(given, expected)


def scores(cosines: Tensor, image: Tensor, tau: float = 4.0) -> Tensor:
    groups = [list(range(cosines.shape[-1]))]
    return together(cosines, groups, image, scale=40.0, settings=AliasSettings(tau))[..., 0]


def test_one_prompt_keeps_its_cosines() -> None:
    assert torch.equal(scores(COSINES[..., :1], IMAGE[:1]), COSINES[..., 0])


def test_equal_prompts_gain_the_logarithm_of_their_number() -> None:
    given = scores(COSINES[..., :1].expand(3, 4, 5), IMAGE[:1].expand(5))
    torch.testing.assert_close(given, COSINES[..., 0] + math.log(5) / 160)


def test_a_large_tau_takes_the_best_prompt() -> None:
    given = scores(COSINES, torch.full((7,), 0.2, dtype=torch.float64), tau=1e6)
    torch.testing.assert_close(given, COSINES.amax(dim=-1))


def test_words_of_the_background_stay_apart() -> None:
    groups, owners = groups_of((0, 0, 0, 1, 1), 0)
    assert (groups, owners) == ([[0], [1], [2], [3, 4]], (0, 0, 0, 1))


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(InputError, match="tau of aliases must be above 0, not 0"):
        AliasSettings(tau=0)
