"""Fixed chunks of a run's images, and the share of them that one machine labels.

What shares a batch with an image may change the last bit of its logits. So images share batches
only within a chunk, and chunks depend on nothing but the images of the whole run: wherever a run is
stopped, and on however many machines it runs, its files are the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lhtclip.batch.plan import Job
from lhtclip.errors import InputError, check_kind, whole

CHUNK = 8  # images; the most that are encoded again after an interruption
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Images that may share batches.

    Attributes:
        jobs: The images, in the order of the run.
        digest: Of their names; equal for the same images in the same order.
    """

    jobs: tuple[Job, ...]
    digest: str


def chunks_of(jobs: Sequence[Job]) -> list[Chunk]:
    """Cut the images of a run into chunks."""
    parts = (tuple(jobs[start : start + CHUNK]) for start in range(0, len(jobs), CHUNK))
    return [Chunk(part, _digest(part)) for part in parts]


@dataclass(frozen=True, slots=True)
class Shard:
    """The share of one machine in a run: every `count`-th chunk.

    Attributes:
        number: Which share, from 1.
        count: How many there are.

    Raises:
        InputError: There is no such share.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 1 <= whole("number", self.number) <= whole("count", self.count):
            raise InputError(f"A shard is I/N with I from 1 to N, such as 1/4 to 4/4, not {self}.")

    def __str__(self) -> str:
        """Return it as it is typed."""
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "I/N".

        Raises:
            InputError: It is anything else.
        """
        check_kind("a shard", text, str)
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if not found:
            raise InputError(f"A shard is I/N, such as 1/4 for the first of four, not {text!r}.")
        return cls(int(found[1]), int(found[2]))

    def of(self, chunks: Sequence[T]) -> Sequence[T]:
        """Return its share; the shares of all numbers are the whole, each part once."""
        return chunks[self.number - 1 :: self.count]


def _digest(jobs: Sequence[Job]) -> str:
    names = json.dumps([job.name.path.as_posix() for job in jobs])
    return hashlib.sha256(names.encode()).hexdigest()[:16]
