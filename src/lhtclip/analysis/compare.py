"""How far two rankings agree: Spearman's correlation, and the overlap of their first entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")


def spearman(first: Mapping[Key, float], second: Mapping[Key, float]) -> float:
    """Return Spearman's rank correlation of two scores, over the keys of both.

    Returns:
        In [-1, 1]; tied scores share the mean of their ranks. NaN if either is constant or fewer
        than two keys are shared.
    """
    shared = [key for key in first if key in second]
    ranks = np.array([_ranks([scores[key] for key in shared]) for scores in (first, second)])
    if len(shared) < 2 or not ranks.std(axis=1).all():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def overlap(first: Sequence[Key], second: Sequence[Key], *, count: int) -> float:
    """Return the share of the first `count` of one ranking among the first of another, in [0, 1].

    Args:
        first: Best first.
        second: Best first.
        count: How many of each to compare; fewer if a ranking is shorter.
    """
    count = min(count, len(first), len(second))
    return len(set(first[:count]) & set(second[:count])) / count if count else float("nan")


def best_first(scores: Mapping[Key, float]) -> list[Key]:
    """Return the keys, highest score first; ties keep their order."""
    return sorted(scores, key=lambda key: -scores[key])


def _ranks(values: Sequence[float]) -> list[float]:
    array = np.asarray(values)
    below = (array[:, None] > array).sum(axis=1)
    equal = (array[:, None] == array).sum(axis=1)
    return (below + (equal + 1) / 2).tolist()
