"""What a stage of the campaign counts, and how long it goes on."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.soak.children import Ended


@dataclass
class Tally:
    """What a stage did, by name, and every failure with the seed that brings it back."""

    counts: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])

    def failed(self, what: str) -> None:
        """Note a failure."""
        self.failures.append(what)


def seeds(chance: random.Random, seconds: float) -> Iterator[int]:
    """Yield seeds until the time is over, one at least."""
    end = time.monotonic() + seconds
    yield chance.randrange(1 << 32)
    while time.monotonic() < end:
        yield chance.randrange(1 << 32)


def last(ended: Ended) -> str:
    """Return the exit code and the last line of stderr."""
    lines = ended.stderr.strip().splitlines()
    return f"exit {ended.code}, {lines[-1][:200] if lines else 'no message'}"
