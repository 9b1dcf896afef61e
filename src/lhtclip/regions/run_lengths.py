"""COCO's run lengths: a mask as alternating counts of pixels outside and inside, by columns.

The compressed text is that of the COCO API (maskApi.c): from the fourth count on, differences to
the count before the previous one, in groups of 5 bits, low bits first, with a sixth bit for "more
follows", plus 48.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lhtclip.regions.components import Components
from lhtclip.regions.runs import Integers, Runs


def counts_of_components(components: Components) -> list[Integers]:
    """Return the run lengths of every component's mask, in the order of components."""
    return _split(*_counts(components.runs, components.order, components.bounds))


def texts_of_components(components: Components) -> list[str]:
    """Return the compressed run lengths of every component's mask, in the order of components."""
    return _compress(*_counts(components.runs, components.order, components.bounds))


def _counts(runs: Runs, order: Integers, bounds: Integers) -> tuple[Integers, Integers]:
    """Return the concatenated run lengths of many masks, and the start of each.

    Args:
        runs: Runs of the label map.
        order: The runs inside the masks, mask by mask, ascending within each.
        bounds: Start of each mask in `order`, and the end (masks + 1,).
    """
    pixels, masks = runs.size[0] * runs.size[1], len(bounds) - 1
    start, stop = runs.start[order], runs.stop[order]
    mask = np.repeat(np.arange(masks), np.diff(bounds))
    # Runs that continue at the top of the next column are one in column-major order.
    follows = np.zeros(len(start), dtype=np.bool_)
    follows[1:] = (start[1:] == stop[:-1]) & (mask[1:] == mask[:-1])
    last = np.append(~follows[1:], True)[: len(start)]
    start, stop, mask = start[~follows], stop[last], mask[~follows]
    # The turns of every mask: 0, then start and stop of each run, then the number of pixels.
    many = np.bincount(mask, minlength=masks)
    ends = np.cumsum(2 * many + 2)
    begins = ends - (2 * many + 2)
    turns = np.zeros(int(ends[-1]) if masks else 0, dtype=np.int64)
    place = begins[mask] + 1 + 2 * (np.arange(len(mask)) - (np.cumsum(many) - many)[mask])
    turns[place], turns[place + 1] = start, stop
    turns[ends - 1] = pixels
    counts = np.diff(turns, prepend=0)
    kept = np.ones(len(turns), dtype=np.bool_)
    kept[begins] = False
    kept[ends - 1] &= counts[ends - 1] > 0  # a mask that reaches the last pixel ends there
    return counts[kept], np.concatenate([[0], np.cumsum(np.add.reduceat(kept, begins))])


def _split(values: Integers, bounds: Integers) -> list[Integers]:
    return np.split(values, bounds[1:-1])


def _compress(counts: Integers, bounds: Integers) -> list[str]:
    """Compress the concatenated run lengths of many masks to one text per mask."""
    if not len(counts):
        return []
    place = np.arange(len(counts)) - np.repeat(bounds[:-1], np.diff(bounds))
    values = counts.copy()
    later = np.flatnonzero(place > 2)
    values[later] -= counts[later - 2]
    magnitude = np.where(values < 0, ~values, values)
    groups = np.ones(len(values), dtype=np.int64)  # of 5 bits, the sign bit among them
    bits = 4
    while bool(np.any(longer := magnitude >= 1 << bits)):
        groups += longer
        bits += 5
    ends = np.cumsum(groups)
    characters = np.empty(int(ends[-1]), dtype=np.uint8)
    place, left = ends - groups, groups
    while len(place):
        more = left > 1
        characters[place] = (values & 31) + 32 * more + 48
        place, left, values = place[more] + 1, left[more] - 1, values[more] >> 5
    text = characters.tobytes().decode("ascii")
    cuts = np.append(0, ends)[bounds].tolist()
    return [text[first:last] for first, last in pairwise(cuts)]
