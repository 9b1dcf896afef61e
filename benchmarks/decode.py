"""Decode patch logits to labels: ours against logits, softmax and argmax at full size.

`python -m benchmarks.decode` starts after the encoder, with the same random logits for both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.harness import Options, Times, Work, add_only, measure, ratio, read_options
from benchmarks.materials import sclip_protocol
from benchmarks.memory import Alone, run_alone
from benchmarks.reference import boxes, decide_bytes, decide_windows
from benchmarks.results import Results, size, spread, times_as_fast
from lhtclip.decoding.decode import decode
from lhtclip.evaluation.protocol import Protocol
from lhtclip.image.pixels import resized_shape
from lhtclip.image.windows import WindowPlan, plan_windows
from lhtclip.text.vocabulary import Vocabulary

BUDGET = 60.0  # seconds
LARGE = 4e9  # bytes; a run at full size that needs more is done once, in its own process
PATCH = 16
OURS, FUSED, FULL = "ours", "ours, one kernel", "full size"


@dataclass(frozen=True, slots=True)
class Case:
    """An image of a data set."""

    title: str
    dataset: str
    height: int
    width: int
    memory: float = 0  # goal for ours in bytes, 0 for none
    factor: float = 0  # goal: how many times as fast as at full size, 0 for none
    slow: bool = False

    @property
    def full_bytes(self) -> int:
        """Memory that decoding at full size needs."""
        vocabulary = sclip_protocol(self.dataset).vocabulary()
        queries, classes = len(vocabulary.queries), len(vocabulary.names)
        return decide_bytes(queries, classes, (self.height, self.width))


CASES = (
    Case("VOC21", "voc21", 375, 500),
    Case("COCO-Object", "coco_object", 480, 640, memory=200e6),
    Case("ADE20K", "ade20k", 512, 683),
    Case("171 classes at 2048²", "coco_stuff171", 2048, 2048, memory=250e6, factor=10, slow=True),
)


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, found = read_options(
        __doc__, budget=BUDGET, dtypes="float32", given=given, more=add_only
    )
    results = Results("decode", options)
    cases = [case for case in CASES if found.only in case.title]
    cases = [case for case in cases if not (options.quick and case.slow)]
    rows = [
        _measure_case(case, options, results, budget=options.clock.left / (len(cases) - index))
        for index, case in enumerate(cases)
    ]
    header = (
        "",
        "queries/classes",
        OURS,
        FUSED,
        FULL,
        "ours is faster by",
        "memory, ours",
        "full size",
    )
    results.table("Window logits to labels, float32", header, rows)
    results.save()
    return results


def _measure_case(
    case: Case, options: Options, results: Results, *, budget: float
) -> tuple[str, ...]:
    device = options.device
    ours, full = partial(prepare_ours, case, device), partial(prepare_full, case, device)
    large = device.type == "cpu" and case.full_bytes > LARGE
    ours_alone = full_alone = None
    if not options.quick:
        ours_alone = run_alone(ours, device)
        full_alone = run_alone(full, device, needs=case.full_bytes)
    works: dict[str, Work] = {OURS: ours()} if large else {OURS: ours(), FULL: full()}
    if device.type == "cuda":
        works[FUSED] = prepare_ours(case, device, fused=True)
    times = measure(works, budget=0.5 * budget, device=device)
    if large and isinstance(full_alone, Alone):
        times[FULL] = Times((full_alone.seconds,))
    if isinstance(full_alone, str):
        results.note(f"{case.title}, full size: left out, {full_alone}.")
    factor = ratio(times[FULL], times[OURS]) if FULL in times else None
    peaks = [each.peak if isinstance(each, Alone) else None for each in (ours_alone, full_alone)]
    _compare(case, peaks[0], factor, results)
    vocabulary = sclip_protocol(case.dataset).vocabulary()
    return (
        f"{case.title}, {case.height} × {case.width}",
        f"{len(vocabulary.queries)}/{len(vocabulary.names)}",
        spread(times[OURS]),
        spread(times[FUSED]) if FUSED in times else "-",
        spread(times[FULL]) if FULL in times else "-",
        times_as_fast(factor) if factor else "-",
        *map(size, peaks),
    )


def _compare(case: Case, peak: int | None, factor: float | None, results: Results) -> None:
    if case.memory and peak is not None:
        results.goal(
            f"memory of decode, {case.title}",
            f"≤ {size(case.memory)}",
            size(peak),
            reached=peak <= case.memory,
        )
    if case.factor and factor is not None:
        results.goal(
            f"decode of {case.title} against full-size logits, softmax, argmax",
            f"≥ {times_as_fast(case.factor)}",
            times_as_fast(factor),
            reached=factor >= case.factor,
        )


@dataclass(frozen=True, slots=True)
class _Problem:
    """Return decoder input: logits (window rows, window columns, grid rows, grid columns, Q)."""

    logits: Tensor
    plan: WindowPlan
    protocol: Protocol
    vocabulary: Vocabulary

    @classmethod
    def of(cls, case: Case, device: torch.device) -> _Problem:
        protocol = sclip_protocol(case.dataset)
        vocabulary, windows = protocol.vocabulary(), protocol.windows
        shape = resized_shape(
            case.height, case.width, short_side=windows.short_sides[0], long_side=windows.long_side
        )
        plan = plan_windows(*shape, window=windows.window, stride=windows.stride)
        grid = (plan.window_height // PATCH, plan.window_width // PATCH)
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(
            len(plan.tops), len(plan.lefts), *grid, len(vocabulary.queries), generator=generator
        )
        return cls(0.1 * logits.to(device), plan, protocol, vocabulary)


def prepare_ours(case: Case, device: torch.device, *, fused: bool = False) -> Work:
    """Return our decoder, warmed up on a small input; with one kernel on CUDA only."""
    problem = _Problem.of(case, device)
    words = problem.vocabulary

    def work(height: int, width: int) -> NDArray[np.int64]:
        return decode(
            problem.logits,
            problem.plan,
            (height, width),
            words.class_of_query,
            len(words.names),
            problem.protocol.decoding,
            fused=fused,
        )[0]

    work(8, 8)
    return partial(work, case.height, case.width)


def prepare_full(case: Case, device: torch.device) -> Work:
    """Return a decoder at full size, warmed up on a small input."""
    problem = _Problem.of(case, device)
    plan, protocol = problem.plan, problem.protocol
    places = list(boxes(plan.height, plan.width, plan.window_height, protocol.windows.stride))
    class_of_query = torch.tensor(problem.vocabulary.class_of_query, device=device)

    def work(height: int, width: int) -> NDArray[np.int64]:
        labels = decide_windows(
            problem.logits.flatten(0, 1),
            places,
            (plan.height, plan.width),
            (height, width),
            class_of_query,
            protocol.decoding,
        )
        return labels.cpu().numpy()

    work(8, 8)
    return partial(work, case.height, case.width)


if __name__ == "__main__":
    main()
