"""Merge small regions into the neighbour with the longest shared border."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lhtclip.regions.components import Components, check_connectivity, join
from lhtclip.regions.runs import (
    Contacts,
    Integers,
    Labels,
    contacts_between_columns,
    contacts_within_columns,
    runs_of,
    sides_between_columns,
)


def merge_small(
    labels: Labels, least_area: int, *, ignored: int | None = None, connectivity: int = 4
) -> Labels:
    """Merge regions below an area into their neighbours, smallest first.

    A region takes the label of the neighbour with the longest shared border. On ties the larger
    neighbour wins, then the first in column-major order. A region that touches only ignored pixels
    stays.

    Args:
        labels: (height, width).
        least_area: Smallest number of pixels of a region that stays.
        ignored: Label of pixels that neither change nor absorb others.
        connectivity: As in `components_of`.

    Raises:
        InputError: Another connectivity than 4 or 8.
    """
    check_connectivity(connectivity)
    runs = runs_of(labels)
    touching = contacts_between_columns(runs, connectivity=connectivity)
    stacked = contacts_within_columns(runs)
    contacts = Contacts(
        np.concatenate([touching.first, stacked.first]),
        np.concatenate([touching.second, stacked.second]),
    )
    sides = np.concatenate([sides_between_columns(runs, touching), np.ones_like(stacked.first)])
    while True:  # each round leaves fewer regions
        components = join(runs, contacts)
        small = components.area < least_area
        if ignored is not None:
            small &= components.label != ignored
        giving, taking = _targets(components, contacts, sides, small, ignored)
        if not len(giving):
            return runs.paint(runs.label)
        label = components.label.copy()
        label[giving] = components.label[taking]
        runs = replace(runs, label=label[components.of_run])


def _targets(
    components: Components,
    contacts: Contacts,
    sides: Integers,
    small: NDArray[np.bool_],
    ignored: int | None,
) -> tuple[Integers, Integers]:
    """Return the small regions to merge next, and for each the neighbour that absorbs it.

    These are the regions that are smaller than each of their small neighbours.
    """
    one, other, length = _shared(components, contacts, sides)
    area = components.area
    rank = np.empty(len(area), dtype=np.int64)  # by area, then by number
    rank[np.argsort(area, kind="stable")] = np.arange(len(area))
    blocked = small[one] & small[other] & (rank[other] < rank[one])
    turn = small.copy()
    turn[one[blocked]] = False
    wanted = turn[one]
    if ignored is not None:
        wanted &= components.label[other] != ignored
    one, other, length = one[wanted], other[wanted], length[wanted]
    order = np.lexsort((other, -area[other], -length, one))
    giving, first = np.unique(one[order], return_index=True)
    return giving, other[order][first]


def _shared(
    components: Components, contacts: Contacts, sides: Integers
) -> tuple[Integers, Integers, Integers]:
    """Return pairs of neighbouring regions in both directions, with the length of their border."""
    first, second = components.of_run[contacts.first], components.of_run[contacts.second]
    apart = (first != second) & (sides > 0)
    count, first, second = len(components), first[apart], second[apart]
    keys = np.concatenate([first * count + second, second * count + first])
    pairs, place = np.unique(keys, return_inverse=True)
    length = np.bincount(place, weights=np.tile(sides[apart], 2)).astype(np.int64)
    one, other = np.divmod(pairs, count)
    return one, other, length
