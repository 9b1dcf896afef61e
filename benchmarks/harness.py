"""Time callables in one process: warmed up, interleaved, with medians and their spread.

Other load on the machine affects everything in a round, so speeds are compared round by round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lhtclip.checkpoints.device import choose_device, choose_dtype
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.paper.random_weights import SHAPES

RESULTS = Path("runs/bench")
QUICK = 0.1  # of the time budget
_MOST_ROUNDS = 30

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Clock:
    """A time budget in seconds that runs from its creation."""

    budget: float
    started: float = field(default_factory=time.monotonic)

    @property
    def used(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.budget - self.used)


@dataclass(frozen=True, slots=True)
class Options:
    """The options that all benchmarks share."""

    device: torch.device
    dtypes: tuple[torch.dtype, ...]  # to measure, the baseline first
    clock: Clock
    quick: bool  # leave out slow parts: the run only shows that everything works
    model: str  # "bundled", or a published shape with random weights
    out: Path  # folder of the results

    @property
    def fastest(self) -> torch.dtype:
        """The dtype that `--dtype auto` chooses on this device, if it is one of those measured."""
        chosen = choose_dtype("auto", self.device)
        return chosen if chosen in self.dtypes else self.dtypes[0]


def read_options(
    about: str | None,
    *,
    budget: float,
    dtypes: str = "float32,auto",
    given: Sequence[str] | None = None,
    more: Callable[[argparse.ArgumentParser], object] | None = None,
) -> tuple[Options, argparse.Namespace]:
    """Read a benchmark's command line and set the number of threads.

    Args:
        about: The benchmark's module docstring.
        budget: Default time budget in seconds.
        dtypes: Default of `--dtypes`.
        given: The arguments; None for those of the process.
        more: Adds the benchmark's own options; they are in the second value returned.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="only check that everything works")
    parser.add_argument("--budget", type=float, help=f"seconds, {budget:g} by default")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    parser.add_argument("--dtypes", default=dtypes, help="such as float32,bfloat16 or auto")
    parser.add_argument("--threads", type=int, help="torch's threads")
    parser.add_argument("--model", default="ViT-B-16", choices=(*SHAPES, BUNDLED))
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    if more is not None:
        more(parser)
    found = parser.parse_args(given)
    if found.threads:
        torch.set_num_threads(found.threads)
    device = choose_device(found.device)
    chosen = (choose_dtype(name.strip(), device) for name in found.dtypes.split(","))
    options = Options(
        device=device,
        dtypes=tuple(dict.fromkeys(chosen)),
        clock=Clock(found.budget or budget * (QUICK if found.quick else 1)),
        quick=found.quick,
        model=found.model,
        out=found.out,
    )
    return options, found


def add_only(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses cases by their titles, as `found.only`."""
    parser.add_argument("--only", default="", help="cases that have this in their title")


@dataclass(frozen=True, slots=True)
class Times:
    """Durations of one callable in every round that counts."""

    seconds: tuple[float, ...]
    cold: bool = False  # whether the first run counts, because there was no time for a second

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile, seconds."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        lower, _, upper = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return lower, upper


def measure(
    works: Mapping[str, Work],
    *,
    budget: float,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Time callables in turn, in rounds of alternating order.

    The first round warms up and is dropped, unless there is no time for another.

    Args:
        works: The callables, by name.
        budget: Seconds for everything; one round always runs.
        device: Synchronised before the clock is read.
        clock: Returns seconds.
    """
    rounds: list[dict[str, float]] = []
    spent = last = 0.0
    while not rounds or (spent + last <= budget and len(rounds) <= _MOST_ROUNDS):
        names = list(works)[:: 1 if len(rounds) % 2 else -1]
        rounds.append({name: _timed(works[name], device, clock) for name in names})
        last = sum(rounds[-1].values())
        spent += last
    cold = len(rounds) == 1
    kept = rounds if cold else rounds[1:]
    return {name: Times(tuple(each[name] for each in kept), cold) for name in works}


def ratio(slow: Times, fast: Times) -> float:
    """Return how many times as long `slow` took: the median over rounds that measured both."""
    if len(slow.seconds) != len(fast.seconds):
        return slow.median / fast.median
    return statistics.median(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True))


def wait(device: torch.device) -> None:
    """Wait until a device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _timed(work: Work, device: torch.device, clock: Callable[[], float]) -> float:
    wait(device)
    started = clock()
    work()
    wait(device)
    return clock() - started
