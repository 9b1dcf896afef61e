"""Work in threads beside the tower, its results in the order in which it was given."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_order(futures: Iterable[Future[T]], *, most: int) -> Iterator[T]:
    """Yield results in order, at most `most` of them behind the futures that are asked for.

    Args:
        futures: Asked for one by one, so that a generator can submit work as late as possible.
        most: Bounds what is under way, and with it memory.
    """
    waiting: deque[Future[T]] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
