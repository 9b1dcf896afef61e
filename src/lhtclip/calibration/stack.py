"""Search for a stack: which gains without training help together on one's own labelled images.

Each gain is measured alone; those that raise the mIoU are then added one after the other, the
largest first, and stay if they raise it further. So at most twice as many stacks are measured as
there are gains. Whatever is chosen fits the images that it was chosen on: they must not be a test
set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class StackSearch:
    """Everything that was measured: scores by the names of the gains, in the order of measurement.

    Attributes:
        scores: Higher is better; the empty stack comes first.
        chosen: The gains that help together, in the order in which they were added.
    """

    scores: Mapping[Names, float]
    chosen: Names


def search_stack(
    gains: Sequence[str],
    score: Callable[[Names], float],
    *,
    apart: Sequence[frozenset[str]] = (),
) -> StackSearch:
    """Find gains that help together.

    Args:
        gains: Their names, in the order in which ties are decided.
        score: Scores a stack, higher is better; called once for each.
        apart: Sets of gains of which a stack may have one at most.
    """
    scores: dict[Names, float] = {(): score(())}
    for name in gains:
        scores[(name,)] = score((name,))
    helpful = [name for name in gains if scores[(name,)] > scores[()]]
    helpful.sort(key=lambda name: -scores[(name,)])
    chosen: Names = ()
    for name in helpful:
        stack = (*chosen, name)
        if any(len(rivals.intersection(stack)) > 1 for rivals in apart):
            continue
        if stack not in scores:
            scores[stack] = score(stack)
        if scores[stack] > scores[chosen]:
            chosen = stack
    return StackSearch(scores, chosen)
