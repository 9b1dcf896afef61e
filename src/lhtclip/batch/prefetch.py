"""Work in threads, in parallel with the encoder; results in submission order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_order(futures: Iterable[Future[T]], *, most: int) -> Iterator[T]:
    """Yield results in submission order, keeping at most `most` futures in flight.

    Args:
        futures: Consumed one by one, so that a generator can submit work as late as possible.
        most: Limits the work in flight, and so the memory.
    """
    waiting: deque[Future[T]] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
