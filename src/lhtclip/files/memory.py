"""The memory that work may take, held against a limit before anything is allocated."""

from __future__ import annotations

import os

from lhtclip.errors import InputError

LIMIT_VARIABLE = "LHTCLIP_MEMORY_GB"
_LIMIT_GB = 8.0  # on top of the model and Python


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse work that would take more than the limit.

    Args:
        needed: Bytes.
        what: What takes them.
        remedy: What takes less, as a command.

    Raises:
        InputError: With the figure and what lowers it.
    """
    limit = _limit()
    if needed > limit * 1e9:
        raise InputError(
            f"{what[:1].upper()}{what[1:]} would take {needed / 1e9:.1f} GB of memory; at most "
            f"{limit:g} GB is allowed. {remedy}, or set {LIMIT_VARIABLE} to a higher number."
        )


def _limit() -> float:
    given = os.environ.get(LIMIT_VARIABLE)
    try:
        limit = float(given) if given else _LIMIT_GB
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise InputError(f"{LIMIT_VARIABLE} must be a number of gigabytes above 0, not {given!r}.")
    return limit
