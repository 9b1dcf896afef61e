"""What is timed in which order, what counts, and how much memory a run needs."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.harness import Times, Work, measure, ratio, read_options
from benchmarks.limit import Product, best_rate, products
from benchmarks.memory import Alone, free_memory, run_alone
from benchmarks.results import duration, size, spread
from lhtclip.clip.config import VisionConfig

CPU = torch.device("cpu")


class Stage:
    """A clock, and works that take the time they are told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.played: list[str] = []

    def read(self) -> float:
        return self.now

    def work(self, name: str, first: float, later: float) -> Work:
        def run() -> None:
            self.now += later if name in self.played else first
            self.played.append(name)

        return run


def test_rounds_are_interleaved_and_the_first_warms_up() -> None:
    stage = Stage()
    works = {"a": stage.work("a", 4, 1), "b": stage.work("b", 2, 2)}
    times = measure(works, budget=12.5, device=CPU, clock=stage.read)
    assert "".join(stage.played) == "baabba"
    assert times == {"a": Times((1.0, 1.0)), "b": Times((2.0, 2.0))}


def test_without_time_for_a_second_round_the_first_counts() -> None:
    stage = Stage()
    times = measure({"a": stage.work("a", 7, 7)}, budget=10, device=CPU, clock=stage.read)
    assert times["a"] == Times((7.0,), cold=True)


def test_ratio_goes_round_by_round() -> None:
    slow, fast = Times((2.0, 20.0, 4.0)), Times((1.0, 10.0, 1.0))
    assert ratio(slow, fast) == 2  # of the medians it would be 4
    assert ratio(Times((6.0,)), fast) == 6


def test_how_numbers_are_written() -> None:
    assert spread(Times((4.0, 1.0, 2.0, 3.0, 5.0))) == "3.00 s (2.00 s - 4.00 s)"
    assert spread(Times((0.05,), cold=True)) == "50.0 ms (once)"
    assert [duration(x) for x in (99.96, 0.9999, 0.25)] == ["100 s", "1.00 s", "250 ms"]
    assert [size(x) for x in (None, 199.6e6, 11.94e9)] == ["-", "200 MB", "11.9 GB"]


def test_options() -> None:
    options, _ = read_options(
        "About.", budget=50, given=["--quick", "--dtypes", "bfloat16,float32"]
    )
    assert (options.quick, options.clock.budget) == (True, 5)
    assert options.dtypes == (torch.bfloat16, torch.float32)
    assert options.fastest in options.dtypes


def test_the_limit_is_the_fastest_product_of_the_tower_or_a_square() -> None:
    found = products(CPU, VisionConfig(patch_size=16), windows=6)
    assert Product(6 * 197, 768, 3072) in found
    small, large = Product(10, 10, 10), Product(20, 10, 10)
    assert best_rate({small: Times((1.0, 3.0, 1.0)), large: Times((4.0,))}) == (small, 2000.0)


# A process of its own


def prepare_array(megabytes: int) -> Work:
    """Run something that holds this much, and twice as much before that."""
    np.ones(2 * megabytes * 125_000).sum()  # 8 bytes each
    return lambda: np.ones(megabytes * 125_000).sum()


def prepare_failure() -> Work:
    raise ValueError("what was wrong")


def test_peak_memory_is_that_of_the_run() -> None:
    run = run_alone(partial(prepare_array, 200), CPU)
    assert isinstance(run, Alone)
    assert run.seconds > 0
    assert run.peak is None or 180e6 < run.peak < 300e6


def test_what_needs_too_much_memory_is_not_tried() -> None:
    free = free_memory()
    if free is None:
        pytest.skip("the system does not report its free memory")
    assert "of memory" in str(run_alone(prepare_failure, CPU, needs=2 * free))


def test_a_failure_in_another_process_is_raised_here() -> None:
    with pytest.raises(RuntimeError, match="what was wrong"):
        run_alone(prepare_failure, CPU)
