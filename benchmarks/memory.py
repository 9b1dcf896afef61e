"""Measure the time and the peak memory of one run in its own process.

Memory is the peak during the run minus the memory before it, when models are loaded. On a GPU it is
the memory that torch allocates.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from benchmarks.harness import Work, wait

_LONGEST = 300.0  # seconds, after which a run is stopped


@dataclass(frozen=True, slots=True)
class Alone:
    """One run: seconds, peak in bytes (None where the system doesn't report it), and result."""

    seconds: float
    peak: int | None
    result: object = None


def run_alone(
    prepare: Callable[[], Work],
    device: torch.device,
    *,
    needs: float = 0,
    patience: float = _LONGEST,
) -> Alone | str:
    """Run the result of `prepare` once in a fresh process; or return why that was not possible.

    Args:
        prepare: Called in that process. It loads the model and runs something small, so that
            one-time allocations of torch are not counted. It must be picklable, and so must be what
            its result returns.
        device: The device to synchronise.
        needs: Bytes of memory that the run needs on a CPU; it is skipped if they are not free.
        patience: Seconds after which the run is stopped.

    Raises:
        RuntimeError: The run failed for another reason than lack of memory.
    """
    free = free_memory()
    if device.type == "cpu" and free is not None and needs > free:
        return f"needs {needs / 1e9:.0f} GB of memory, {free / 1e9:.0f} GB are free"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_child, args=(theirs, prepare, device, torch.get_num_threads())
    )
    process.start()
    theirs.close()
    try:
        outcome = ours.recv() if ours.poll(patience) else f"not done in {patience:.0f} s"
    except EOFError:
        outcome = "its process was killed, most likely for lack of memory"
    finally:
        process.kill()
        process.join()
        ours.close()
    if isinstance(outcome, Exception):
        raise RuntimeError(f"The run in a process of its own failed: {outcome}")
    return outcome


def _child(
    pipe: Connection, prepare: Callable[[], Work], device: torch.device, threads: int
) -> None:
    torch.set_num_threads(threads)
    try:
        work = prepare()
        wait(device)
        before = _held(device, peak=False)
        started = time.perf_counter()
        result = work()
        wait(device)
        seconds, highest = time.perf_counter() - started, _held(device, peak=True)
        known = None not in (before, highest)
        peak = max(0, (highest or 0) - (before or 0)) if known else None
        pipe.send(Alone(seconds, peak, result))
    except (MemoryError, torch.cuda.OutOfMemoryError):
        pipe.send("the memory was not enough")
    except Exception as error:
        short = "can't allocate memory" in str(error)
        pipe.send("the memory was not enough" if short else Exception(traceback.format_exc()))


def _held(device: torch.device, *, peak: bool) -> int | None:
    """Return the bytes in use; with `peak`, the maximum since the last call without it."""
    if device.type == "cuda":
        if peak:
            return torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not sys.platform.startswith("linux"):
        return None
    if not peak:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return 1024 * int(values["VmHWM" if peak else "VmRSS"].split()[0])


def free_memory() -> int | None:
    """Return the bytes of free memory, or None where the system doesn't report them."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
