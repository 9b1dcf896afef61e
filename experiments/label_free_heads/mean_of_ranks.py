"""Several rankings made into one: each head's mean place in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from lhtclip.analysis.compare import best_first

Key = TypeVar("Key")

MEAN_OF_RANKS = "mean-of-ranks"


def mean_of_ranks(rankings: Mapping[str, Mapping[Key, float]]) -> dict[Key, float]:
    """Return the mean place of each key, negative, so that higher is better.

    Args:
        rankings: Scores by name of the ranking, of the same keys, at least one ranking.

    Returns:
        From 0, first in all rankings, down to 1 - the number of keys.
    """
    places = [
        {key: place for place, key in enumerate(best_first(scores))} for scores in rankings.values()
    ]
    return {key: -sum(place[key] for place in places) / len(places) for key in places[0]}
