"""The queue in front of the model: batches, order, bounds, deadlines, an orderly end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lhtclip.server.metrics import Metrics
from lhtclip.server.problems import Problem
from lhtclip.server.scheduler import Scheduler


def scheduler(**changes: Any) -> Scheduler:
    settings: dict[str, Any] = {"limit": 8, "batch": 4, "delay": 0.05, "timeout": 5.0}
    return Scheduler(**(settings | changes), metrics=Metrics())


def double(items: Sequence[int]) -> list[Any]:
    return [2 * item for item in items]


def blocking() -> tuple[threading.Event, threading.Event, Callable[[Sequence[Any]], list[Any]]]:
    """Work that says when it has begun, and ends when it may."""
    begun, go_on = threading.Event(), threading.Event()

    def block(items: Sequence[Any]) -> list[Any]:
        begun.set()
        go_on.wait(5)
        return list(items)

    return begun, go_on, block


def test_jobs_of_one_key_run_together_and_get_their_own_results() -> None:
    sizes: list[int] = []

    def work(items: Sequence[int]) -> list[Any]:
        sizes.append(len(items))
        return double(items)

    async def run() -> list[Any]:
        own = scheduler()
        jobs = [own.batch("a", i, work) for i in range(4)] + [own.batch("b", 9, work)]
        results = await asyncio.gather(*jobs)
        own.close()
        return list(results)

    assert asyncio.run(run()) == [0, 2, 4, 6, 18]
    assert sorted(sizes) == [1, 4]


def test_one_failure_reaches_its_own_caller_only() -> None:
    def work(items: Sequence[int]) -> list[Any]:
        return [ValueError("no") if item == 1 else item for item in items]

    async def run() -> list[Any]:
        own = scheduler()
        jobs = [own.batch("a", i, work) for i in range(3)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        own.close()
        return list(results)

    first, second, third = asyncio.run(run())
    assert (first, third) == (0, 2)
    assert isinstance(second, ValueError)


def test_a_full_queue_refuses_at_once_and_questions_go_first() -> None:
    order: list[str] = []
    begun, go_on, block = blocking()

    async def run() -> None:
        own = scheduler(limit=2, delay=0.0)
        running = asyncio.ensure_future(own.batch("x", 0, block))
        await asyncio.to_thread(begun.wait, 5)
        noting = own.batch("a", 1, lambda items: [order.append("image") for _ in items])
        image = asyncio.ensure_future(noting)
        question = asyncio.ensure_future(own.call(lambda: order.append("question")))
        await asyncio.sleep(0.01)
        with pytest.raises(Problem, match="waiting") as refused:
            await own.call(lambda: None)
        assert refused.value.status == 503
        assert refused.value.headers["Retry-After"] == "1"
        go_on.set()
        await asyncio.gather(running, image, question)
        own.close()

    asyncio.run(run())
    assert order == ["question", "image"]


def test_who_stops_waiting_frees_the_place_and_is_never_run() -> None:
    begun, go_on, ran = threading.Event(), threading.Event(), []

    def block(items: Sequence[Any]) -> list[Any]:
        begun.set()
        go_on.wait(5)
        return list(items)

    async def run() -> None:
        own = scheduler(limit=1, delay=0.0)
        running = asyncio.ensure_future(own.batch("x", 0, block))
        await asyncio.to_thread(begun.wait, 5)
        waiting = asyncio.ensure_future(own.call(lambda: ran.append(1)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.sleep(0.01)
        assert own.waiting == 0
        go_on.set()
        await running
        own.close()

    asyncio.run(run())
    assert ran == []


def test_a_deadline_is_kept_and_closing_answers_who_waits() -> None:
    begun, go_on, block = blocking()

    async def run() -> None:
        own = scheduler(timeout=0.3, delay=0.0)
        running = asyncio.ensure_future(own.batch("x", "done", block))
        await asyncio.to_thread(begun.wait, 5)
        with pytest.raises(Problem) as late:
            await own.call(lambda: None)
        assert late.value.status == 504
        with pytest.raises(Problem):
            await running

        own = scheduler(delay=0.0)
        begun.clear()
        go_on.clear()
        running = asyncio.ensure_future(own.batch("x", "done", block))
        await asyncio.to_thread(begun.wait, 5)
        waiting = asyncio.ensure_future(own.call(lambda: None))
        await asyncio.sleep(0.01)
        own.close()
        with pytest.raises(Problem, match="shutting down") as refused:
            await waiting
        assert refused.value.status == 503
        go_on.set()
        assert await running == "done"
        with pytest.raises(Problem, match="shutting down"):
            await own.call(lambda: None)
        assert await own.call(lambda: "labels", begun=True) == "labels"
        await asyncio.to_thread(own.join, 5)
        with pytest.raises(Problem, match="shutting down"):
            await own.call(lambda: "labels", begun=True)

    asyncio.run(run())
