"""A process of its own for one run: how long it takes and how much memory it needs at the most.

Memory counts from what the process held before the run, models included, to the highest that it
held during the run. On a GPU it is what torch allocates there.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from benchmarks.harness import Options, Work, wait

Prepare = Callable[[], Work]

_HEADROOM = 1.15  # of what a run is said to need, before it is tried
_LONGEST = 300.0  # seconds, after which a run is given up


@dataclass(frozen=True, slots=True)
class Alone:
    """One run.

    seconds: How long it took.
    peak: Bytes that it needed at the most beside what was there before; None where the system does
        not tell.
    """

    seconds: float
    peak: int | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why there was no run."""

    reason: str


def peak_of(run: Alone | Skipped | None) -> int | None:
    """Return the bytes that a run needed, or None where they are not known."""
    return run.peak if isinstance(run, Alone) else None


def run_alone(prepare: Prepare, options: Options, *, needs: float = 0) -> Alone | Skipped:
    """Run once what `prepare` returns, in a fresh process.

    Args:
        prepare: Is called there; makes the model, and runs something small so that what torch loads
            and allocates once is not counted. Functions of modules and `partial`s of them only, for
            it has to travel.
        options: Device and threads.
        needs: Bytes that the run is known to need on the CPU; without them it is not tried.
    """
    free = available_memory()
    if options.device.type == "cpu" and free is not None and needs * _HEADROOM > free:
        return Skipped(f"needs {needs / 1e9:.0f} GB of memory, {free / 1e9:.0f} GB are free")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_child, args=(theirs, prepare, options.device, torch.get_num_threads())
    )
    process.start()
    theirs.close()
    try:
        outcome = ours.recv() if ours.poll(_LONGEST) else Skipped(f"not done in {_LONGEST:.0f} s")
    except EOFError:  # the process is gone without a word
        outcome = Skipped("the process was ended, most likely for want of memory")
    finally:
        process.kill()
        process.join()
        ours.close()
    if isinstance(outcome, str):
        raise RuntimeError(f"The run in a process of its own failed:\n{outcome}")
    return outcome


def _child(pipe: Connection, prepare: Prepare, device: torch.device, threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        work = prepare()
        meter = _Meter(device)
        started = time.perf_counter()
        work()
        wait(device)
        pipe.send(Alone(time.perf_counter() - started, meter.peak()))
    except MemoryError:
        pipe.send(Skipped("the memory was not enough"))
    except Exception as error:
        if "can't allocate memory" in str(error) or isinstance(error, torch.cuda.OutOfMemoryError):
            pipe.send(Skipped("the memory was not enough"))
        else:
            pipe.send(traceback.format_exc())


class _Meter:
    """Tells by how much the memory in use rises from now on, at the most."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            wait(device)
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
            return
        _give_back()
        try:  # Linux lets a process forget how much it once held
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self._before = _status("VmRSS")
        except OSError:
            self._before = _highest()

    def peak(self) -> int | None:
        """Return bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - (self._before or 0)
        highest = _status("VmHWM") or _highest()
        if highest is None or self._before is None:
            return None
        return max(0, highest - self._before)


def _give_back() -> None:
    """Let the allocator hand back what was freed, where it is glibc's."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _status(name: str) -> int | None:
    """Return a line of Linux's account of this process, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return next((1024 * int(value) for value in values), None)


def _highest() -> int | None:
    """Return the most memory that this process ever held, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else 1024 * highest


def available_memory() -> int | None:
    """Return the bytes that a new process can have, or None where the system does not tell."""
    known = [count for count in (_free_memory(), _left_in_group()) if count is not None]
    return min(known, default=None)


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((1024 * int(value) for value in values), None)


def _left_in_group() -> int | None:
    """Return what a container's limit leaves; without a limit there is no number in the file."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        return limit - int((folder / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
