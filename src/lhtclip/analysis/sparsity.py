"""Histograms of Hoyer scores: quantiles, and the gap before the tail.

Histograms are counts over equal bins of [0, 1], so any number of tokens fits into memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

BINS = 1000
_WIDTH = 0.05  # of the compared stretches; narrower peaks and gaps are noise
_SIGMAS = 4.0  # a rise of fewer standard deviations may be chance
_SCALES = (1, 2, 4, 8)  # breadths of a tail, in widths of a gap
_LEAST = 1e-4  # a smaller share of the tokens is not a tail


def histogram(scores: Tensor, *, bins: int = BINS) -> Tensor:
    """Count scores in [0, 1] over equal bins: int64 (bins,), on the scores' device."""
    places = (scores.flatten() * bins).long().clamp(0, bins - 1)
    return places.bincount(minlength=bins)


def quantile(counts: Sequence[int], share: float) -> float:
    """Return the quantile of a histogram, exact to a bin's width.

    Args:
        counts: Counts over equal bins of [0, 1].
        share: The share below the quantile, in [0, 1].

    Returns:
        NaN for an empty histogram.
    """
    total = np.cumsum(counts)
    if not len(total) or not total[-1]:
        return float("nan")
    place = int(np.searchsorted(total, max(share * total[-1], 1)))
    below = total[place] - counts[place]
    inside = (share * total[-1] - below) / counts[place]
    return (place + float(np.clip(inside, 0, 1))) / len(total)


def sparsity_gap(counts: Sequence[int]) -> float | None:
    """Find the threshold τ that separates a sparse tail from the bulk of the tokens.

    This is the middle of the least dense stretch above the bulk after which tokens are at least
    twice as dense again, beyond chance; on ties, of the widest such stretch.

    Args:
        counts: Tokens over equal bins of Hoyer scores from 0 to 1.

    Returns:
        In (0, 1); None if there is no tail, so that no token counts as abnormal.
    """
    tokens = np.asarray(counts, dtype=np.int64)
    span = max(1, round(_WIDTH * len(tokens)))
    total = np.concatenate([[0], np.cumsum(tokens)])
    if len(tokens) <= 2 * span or not total[-1]:
        return None
    seen = total[span:] - total[:-span]  # in the stretch that starts at a bin
    valley = _has_tail_behind(total, seen, span)
    valley[: int(seen.argmax()) + 1] = False  # the bulk, and what is below it
    if not valley.any():
        return None
    lowest = seen[valley].min()
    start, end = _longest_run(valley & (seen <= lowest + np.sqrt(lowest)))
    middle = (start + end + span) / 2
    behind = total[-1] - total[int(middle)]
    if not _LEAST * total[-1] <= behind <= total[-1] / 2:
        return None
    return middle / len(tokens)


def _has_tail_behind(
    total: NDArray[np.int64], seen: NDArray[np.int64], span: int
) -> NDArray[np.bool_]:
    """Return for every stretch whether tokens are clearly denser somewhere above it."""
    starts = np.arange(len(seen))
    found = np.zeros(len(seen), dtype=bool)
    for scale in _SCALES:
        counts = total[np.minimum(starts + scale * span, len(total) - 1)] - total[starts]
        highest = np.maximum.accumulate(counts[::-1])[::-1]  # from each start on
        ahead = np.append(highest[span:], np.zeros(span, dtype=np.int64))
        here = scale * seen
        found |= (ahead >= 2 * here) & (ahead - here > _SIGMAS * np.sqrt(ahead + here))
    return found


def _longest_run(chosen: NDArray[np.bool_]) -> tuple[int, int]:
    """Return first and last index of the longest run of True; on ties, of the first."""
    edges = np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    longest = int((ends - starts).argmax())
    return int(starts[longest]), int(ends[longest]) - 1
