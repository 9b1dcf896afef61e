"""The harness: what is timed in which order, what counts, and what becomes of it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.alone import Alone, Skipped, available_memory, peak_of, run_alone
from benchmarks.harness import (
    Clock,
    Options,
    Times,
    Work,
    measure,
    quartiles,
    ratio,
    read_options,
)
from benchmarks.limit import Product, best_rate, matmul_rate, products
from benchmarks.results import duration, size, spread
from lhtclip.clip.config import VisionConfig

CPU = torch.device("cpu")


class Stage:
    """A clock, and works that take the time that they are told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.played: list[str] = []

    def tell(self) -> float:
        return self.now

    def work(self, name: str, *seconds: float) -> Work:
        remaining = list(seconds)

        def run() -> None:
            self.played.append(name)
            self.now += remaining.pop(0) if len(remaining) > 1 else remaining[0]

        return run


def test_rounds_are_interleaved_and_turn_round() -> None:
    stage = Stage()
    works = {"a": stage.work("a", 1), "b": stage.work("b", 2)}
    times = measure(works, budget=9.5, device=CPU, clock=stage.tell)
    assert "".join(stage.played) == "baabba"
    assert times == {"a": Times((1.0, 1.0)), "b": Times((2.0, 2.0))}


def test_the_first_round_warms_up() -> None:
    stage = Stage()
    times = measure({"a": stage.work("a", 7, 1)}, budget=16, device=CPU, clock=stage.tell)
    assert times["a"] == Times((1.0,) * 9, cold=False)


def test_without_time_for_a_second_round_the_first_counts() -> None:
    stage = Stage()
    times = measure({"a": stage.work("a", 7)}, budget=10, device=CPU, clock=stage.tell)
    assert times["a"] == Times((7.0,), cold=True)


def test_fast_works_stop_at_most() -> None:
    stage = Stage()
    works = {"a": stage.work("a", 1e-6)}
    assert len(measure(works, budget=1, device=CPU, most=5, clock=stage.tell)["a"].seconds) == 5


def test_ratio_goes_round_by_round() -> None:
    slow, fast = Times((2.0, 20.0, 4.0)), Times((1.0, 10.0, 1.0))
    assert ratio(slow, fast) == 2  # of the medians it would be 4
    assert ratio(Times((6.0,)), fast) == 6


def test_spread_of_times() -> None:
    times = Times((4.0, 1.0, 2.0, 3.0, 5.0))
    assert (times.median, times.quartiles) == (3, (2, 4))
    assert quartiles([7.0]) == (7, 7)
    content = times.to_json()
    assert (content["lowest"], content["highest"], content["cold"]) == (1, 5, False)
    assert spread(times) == "3.00 s (2.00 s - 4.00 s)"
    assert spread(Times((0.05,), cold=True)) == "50.0 ms (once)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (123.4, "123 s"),
        (99.96, "100 s"),
        (1.234, "1.23 s"),
        (0.9999, "1.00 s"),
        (0.25, "250 ms"),
        (0.01234, "12.3 ms"),
        (1.5e-6, "0.00150 ms"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_size() -> None:
    assert [size(x) for x in (None, 199.6e6, 11.94e9)] == ["-", "200 MB", "11.9 GB"]


def test_options() -> None:
    options, _ = read_options("About.", budget=50, given=["--quick", "--model", "bundled"])
    assert (options.quick, options.model, options.clock.budget) == (True, "bundled", 5)
    assert options.dtypes[0] == torch.float32
    assert options.fastest in options.dtypes
    options, _ = read_options(
        None, budget=50, given=["--budget", "7", "--dtypes", "bfloat16, float32,bfloat16"]
    )
    assert options.dtypes == (torch.bfloat16, torch.float32)
    assert 6 < options.clock.left <= 7


def test_a_clock_never_runs_below_nothing() -> None:
    assert Clock(-1.0).left == 0
    assert Clock(-1.0).used >= 0


# The limit


def test_products_are_those_of_the_tower() -> None:
    found = products(CPU, VisionConfig(patch_size=16), windows=6)
    assert Product(6 * 197, 768, 3072) in found
    assert Product(6 * 197, 3072, 768) in found
    assert Product(10, 20, 30).operations == 12_000


def test_the_fastest_product_is_the_limit() -> None:
    small, large = Product(10, 10, 10), Product(20, 10, 10)
    times = {small: Times((1.0, 3.0, 1.0)), large: Times((4.0,))}
    assert best_rate(times) == (small, 2000.0)


def test_matmul_rate_is_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.limit.SQUARES", {"cpu": (64,)})
    tiny = VisionConfig(64, 128, 2, 2, 32, 16)
    product, rate = matmul_rate(torch.float32, CPU, budget=0.02, config=tiny)
    assert product in products(CPU, tiny)
    assert rate > 1e6


# A process of its own

OPTIONS = Options(CPU, (torch.float32,), Clock(1.0), True, "bundled", out=None)  # pyright: ignore


def prepare_array(megabytes: int) -> Work:
    return lambda: np.ones(megabytes * 125_000).sum()  # 8 bytes each


def prepare_failure() -> Work:
    raise ValueError("what was wrong")


@pytest.mark.slow
def test_peak_memory_is_that_of_the_run() -> None:
    run = run_alone(partial(prepare_array, 80), OPTIONS)
    assert isinstance(run, Alone)
    assert run.seconds > 0
    assert run.peak == pytest.approx(80e6, rel=0.1)


@pytest.mark.slow
def test_a_failure_in_another_process_is_told_here() -> None:
    with pytest.raises(RuntimeError, match="what was wrong"):
        run_alone(prepare_failure, OPTIONS)


def test_what_needs_too_much_memory_is_not_tried() -> None:
    free = available_memory()
    if free is None:
        pytest.skip("the system does not tell its free memory")
    run = run_alone(partial(prepare_array, 1), OPTIONS, needs=2 * free)
    assert isinstance(run, Skipped)
    assert "memory" in run.reason
    assert peak_of(run) is None
