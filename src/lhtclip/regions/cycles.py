"""Cycles of a permutation, each in order: what is left of contours once every step has a next one.

A loop in Python over all steps would take most of the time of tracing. So all cycles are cut at
certain steps, and the stretches between cuts are walked at the same time, one step a round. The
stretches follow each other in cycles too, which are shorter, and so on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lhtclip.regions.runs import Integers


def cycles_of(after: NDArray[np.int32], cuts: Integers) -> tuple[NDArray[np.int32], Integers]:
    """Return the steps of all cycles that have a cut, cycle after cycle, and where each begins.

    Args:
        after: The step after each step; may have steps that no cycle with a cut has.
        cuts: Steps that stretches begin with, ascending; a cycle begins with its first one.

    Returns:
        The steps (steps,), in the order of the cycles' first cuts; and the bounds (cycles + 1,).
    """
    rounds, length, following = _stretches(after, cuts)
    here = np.arange(len(cuts), dtype=np.int32)
    if np.array_equal(following, here):  # every stretch is a cycle
        order, ends = here, np.arange(len(cuts) + 1)
    else:
        before = np.empty_like(here)
        before[following] = here
        order, ends = cycles_of(following, np.flatnonzero((here <= following) & (here <= before)))
    place = np.cumsum(length[order]) - length[order]
    begins = np.empty(len(order), dtype=np.int64)
    begins[order] = place
    steps = np.empty(int(length.sum()), dtype=np.int32)
    for number, (stretch, step) in enumerate(rounds):
        steps[begins[stretch] + number] = step
    return steps, np.append(place, len(steps))[ends]


def _stretches(
    after: NDArray[np.int32], cuts: Integers
) -> tuple[list[tuple[NDArray[np.int32], NDArray[np.int32]]], Integers, NDArray[np.int32]]:
    """Walk from every cut to the next.

    Returns:
        Round by round, the stretches that are still being walked and where each is; the length of
        each stretch; and the stretch that follows it.
    """
    count = len(cuts)
    begun = np.full(len(after), -1, dtype=np.int32)  # the stretch that begins with a step
    begun[cuts] = np.arange(count, dtype=np.int32)
    stretch, step = np.arange(count, dtype=np.int32), cuts.astype(np.int32)
    length, following = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int32)
    rounds: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
    while len(step):
        rounds.append((stretch, step))
        step = after[step]
        found = begun[step]
        ended = found >= 0
        done = stretch[ended]
        following[done], length[done] = found[ended], len(rounds)
        goes_on = ~ended
        stretch, step = stretch[goes_on], step[goes_on]
    return rounds, length, following
