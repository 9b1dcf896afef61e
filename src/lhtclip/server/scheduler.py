"""One thread runs the model; requests wait in a bounded queue, and images are encoded together.

Questions about encoded images are short, so they run before images that have yet to be encoded. A
request whose client disconnects leaves the queue. A full queue refuses immediately.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lhtclip.server.metrics import Metrics
from lhtclip.server.problems import Problem, busy

T = TypeVar("T")
Work = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(eq=False, slots=True)
class _Job:
    """One request's work: `work` takes the items of all jobs of one key and returns as many."""

    key: Hashable
    item: Any
    work: Work
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    deadline: float
    begun: bool


class Scheduler:
    """A bounded queue in front of one thread."""

    def __init__(
        self, *, limit: int, batch: int, delay: float, timeout: float, metrics: Metrics
    ) -> None:
        """Start the thread.

        Args:
            limit: Maximum number of waiting jobs.
            batch: Maximum number of jobs of one key that run together.
            delay: Seconds to wait for further jobs of the same key.
            timeout: Seconds until a waiting job is dropped.
            metrics: Where the queue and the batches are counted.
        """
        self._limit, self._batch, self._delay, self._timeout = limit, batch, delay, timeout
        self._metrics = metrics
        self._changed = threading.Condition()
        self._short: deque[_Job] = deque()
        self._long: deque[_Job] = deque()
        self._open, self._stopped = True, False
        self._thread = threading.Thread(target=self._run, name="lhtclip-model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of waiting jobs."""
        return len(self._short) + len(self._long)

    async def call(self, work: Callable[[], T], *, begun: bool = False) -> T:
        """Run short work on the model's thread, ahead of images waiting to be encoded.

        Args:
            work: What to run.
            begun: It ends a request whose image was encoded just now: neither a full queue nor a
                shutdown refuses it.
        """

        def alone(items: Sequence[Any]) -> Sequence[T]:
            return [work() for _ in items]

        return await self._submit(self._short, key=object(), item=None, work=alone, begun=begun)

    async def batch(self, key: Hashable, item: Any, work: Work) -> Any:
        """Run `work` on this item together with others of the same key; return its own result.

        For every item, `work` returns a result or the exception to raise for its caller.
        """
        return await self._submit(self._long, key=key, item=item, work=work)

    def check_room(self) -> None:
        """Refuse at once what would not fit into the queue, before work is spent on it.

        Raises:
            Problem: The queue is full, or the server is shutting down.
        """
        if not self._open:
            raise busy("The server is shutting down. Try another one.", after=5)
        if self.waiting >= self._limit:
            self._metrics.rejected.labels("queue_full").inc()
            raise busy(f"{self._limit} requests are waiting already. Try again later.")

    def close(self) -> None:
        """Refuse waiting and new jobs; the running batch is finished."""
        with self._changed:
            self._open = False
            waiting = [job for job in (*self._short, *self._long) if not job.begun]
            begun = [job for job in self._short if job.begun]
            self._short.clear()
            self._short.extend(begun)
            self._long.clear()
            self._changed.notify_all()
        for job in waiting:
            _settle(job, busy("The server is shutting down. Try another one.", after=5))

    def join(self, seconds: float) -> None:
        """Close, end what is begun, and wait until the thread has ended."""
        self.close()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(seconds)

    async def _submit(
        self, queue: deque[_Job], *, key: Hashable, item: Any, work: Work, begun: bool = False
    ) -> Any:
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self._timeout
        job = _Job(key, item, work, loop.create_future(), loop, deadline, begun)
        with self._changed:
            if self._stopped:
                raise busy("The server is shutting down. Try another one.", after=5)
            if not begun:
                self.check_room()
            queue.append(job)
            self._metrics.queue.set(self.waiting)
            self._changed.notify_all()
        try:
            return await asyncio.wait_for(job.future, self._timeout)
        except asyncio.TimeoutError:
            self._metrics.rejected.labels("timeout").inc()
            raise Problem(
                504, "timeout", f"The model was not free within {self._timeout:g} seconds."
            ) from None
        finally:
            if not job.future.done():
                job.future.cancel()
            self._drop(job)

    def _drop(self, job: _Job) -> None:
        """Free the place of a job that no one is waiting for any more."""
        with self._changed:
            for queue in (self._short, self._long):
                if job in queue:
                    queue.remove(job)
            self._metrics.queue.set(self.waiting)

    def _run(self) -> None:
        while (jobs := self._take()) is not None:
            if not jobs:  # the client left while the queue waited for more images
                continue
            try:
                results = jobs[0].work([job.item for job in jobs])
            except Exception as error:  # passed to the callers; the thread continues
                results = [error] * len(jobs)
            for job, result in zip(jobs, results, strict=True):
                _settle(job, result)

    def _take(self) -> list[_Job] | None:
        """Wait for work; return jobs of one key, or None once there will be none."""
        with self._changed:
            while not (self._short or self._long):
                if self._stopped:
                    return None
                self._changed.wait()
            if not self._short:
                self._gather()
            jobs = self._next()
            self._metrics.queue.set(self.waiting)
            return jobs

    def _gather(self) -> None:
        """Wait briefly for further images, unless there is other work to do."""
        until = time.monotonic() + self._delay
        while len(self._long) < self._batch and self._open and not self._short:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def _next(self) -> list[_Job]:
        """Take one short job, or the first image and those that may be encoded with it."""
        if self._short:
            return [self._short.popleft()]
        jobs = [job for job in self._long if job.key == self._long[0].key][: self._batch]
        for job in jobs:
            self._long.remove(job)
        return jobs


def _settle(job: _Job, result: Any) -> None:
    def settle() -> None:
        if job.future.done():
            return
        if isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)

    try:
        job.loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop has ended: no one is waiting any more
        return
