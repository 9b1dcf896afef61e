"""Callables side by side in one process: warmed up, interleaved, medians with their spread.

Whatever else the machine does hits all that is compared within the same round, so speeds are
compared round by round. Rounds are repeated until a time budget is used up.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lhtclip.checkpoints.device import choose_device, choose_dtype
from lhtclip.checkpoints.hub import BUNDLED
from lhtclip.paper.random_weights import SHAPES

RESULTS = Path("runs/bench")
QUICK = 0.1  # of the time budget
_MOST_ROUNDS = 30

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Clock:
    """A time budget that runs from its creation on; seconds."""

    budget: float
    started: float = field(default_factory=time.monotonic)

    @property
    def used(self) -> float:
        """What has passed."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """What is left of the budget, 0 where nothing is."""
        return max(0.0, self.budget - self.used)


@dataclass(frozen=True, slots=True)
class Options:
    """What every benchmark can be told.

    device: Where to compute.
    dtypes: Precisions to measure, float32 first where it is among them.
    clock: The time budget.
    quick: Leave out what takes long; the numbers only show that all works.
    model: "bundled", or a published shape that gets random weights.
    out: Folder of the results.
    """

    device: torch.device
    dtypes: tuple[torch.dtype, ...]
    clock: Clock
    quick: bool
    model: str
    out: Path

    @property
    def fastest(self) -> torch.dtype:
        """The precision that the device is said to be fastest in, out of those measured."""
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
    """Read a benchmark's command line, and set the number of threads.

    Args:
        about: The benchmark's module docstring.
        budget: Seconds that it may take on two slow cores.
        dtypes: Precisions by default.
        given: The arguments; None for those of the process.
        more: Adds options of its own, found in the second value returned.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="see that it works, no more")
    parser.add_argument("--budget", type=float, help=f"seconds, {budget:g} by default")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    parser.add_argument("--dtypes", default=dtypes, help="such as float32,bfloat16 or auto")
    parser.add_argument("--threads", type=int, help="of torch; by default as it chooses")
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
    """How long something took, round by round; the order of rounds is that of its rivals.

    seconds: Of every round that counts.
    cold: Whether the very first run counts, for want of time for a second one.
    """

    seconds: tuple[float, ...]
    cold: bool = False

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper one, seconds."""
        return quartiles(self.seconds)

    def to_json(self) -> dict[str, Any]:
        """Return everything in JSON types."""
        lower, upper = self.quartiles
        return {
            "median": self.median,
            "lower_quartile": lower,
            "upper_quartile": upper,
            "lowest": min(self.seconds),
            "highest": max(self.seconds),
            "cold": self.cold,
            "seconds": list(self.seconds),
        }


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile; of a single value twice that value."""
    if len(values) == 1:
        return values[0], values[0]
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper


def measure(
    works: Mapping[str, Work],
    *,
    budget: float,
    device: torch.device,
    most: int = _MOST_ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Time callables in turn, round after round, each round in the opposite order of the last.

    The first round warms up and is dropped, unless there was no time for another.

    Args:
        works: What to time, by name.
        budget: Seconds for everything; one round is run in any case.
        device: Is waited for before the clock is read.
        most: Rounds at most, without the one that warms up.
        clock: Tells seconds.
    """
    rounds: list[dict[str, float]] = []
    spent = last = 0.0
    while not rounds or (spent + last <= budget and len(rounds) <= most):
        names = list(works)[:: 1 if len(rounds) % 2 else -1]
        rounds.append({name: _timed(works[name], device, clock) for name in names})
        last = sum(rounds[-1].values())
        spent += last
    cold = len(rounds) == 1
    kept = rounds if cold else rounds[1:]
    return {name: Times(tuple(each[name] for each in kept), cold) for name in works}


def ratio(slow: Times, fast: Times) -> float:
    """How many times as long `slow` took: the median over rounds where both belong to one run."""
    if len(slow.seconds) != len(fast.seconds):
        return slow.median / fast.median
    return statistics.median(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True))


def wait(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
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
