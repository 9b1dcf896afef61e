"""Results of a benchmark: printed as they arrive, saved as JSON with the machine's description."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import Options, Times
from lhtclip.cli.console import print_table
from lhtclip.evaluation.machine import hardware, versions
from lhtclip.files import write_atomically


class Results:
    """Collects the results of one benchmark on one device."""

    def __init__(self, name: str, options: Options) -> None:
        """Record the time and the machine, before the benchmark itself loads it."""
        self._name, self._options = name, options
        self._load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        self._date = datetime.now(timezone.utc)
        self._tables: list[dict[str, Any]] = []
        self._goals: list[dict[str, Any]] = []
        self._notes: list[str] = []

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table and print it."""
        self._tables.append({"title": title, "header": header, "rows": rows})
        print(f"\n{title}\n", flush=True)
        print_table(header, rows)

    def goal(self, what: str, target: str, measured: str, *, reached: bool | None) -> None:
        """Add a goal and print it.

        Args:
            what: Name of the quantity.
            target: Its required minimum or maximum; "-" if there is no goal.
            measured: The measured value, or why it is missing.
            reached: Whether the goal was reached; None if unknown.
        """
        self._goals.append(
            {"what": what, "target": target, "measured": measured, "reached": answer(reached)}
        )
        print(f"\n{what}: {measured} (goal: {target}, reached: {answer(reached)})", flush=True)

    def note(self, text: str) -> None:
        """Add a note, such as which part was skipped and why, and print it."""
        self._notes.append(text)
        print(f"\n{text}", flush=True)

    def save(self) -> Path:
        """Write everything to `<name>.<device>.json`."""
        options = self._options
        content = {
            "benchmark": self._name,
            "date": f"{self._date:%Y-%m-%d %H:%M} UTC",
            "commit": commit(),
            "hardware": hardware(options.device) | {"load_before": self._load},
            "versions": versions(),
            "quick": options.quick,
            "seconds": options.clock.used,
            "goals": self._goals,
            "tables": self._tables,
            "notes": self._notes,
        }
        path = options.out / f"{self._name}.{options.device.type}.json"
        return write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def commit() -> str | None:
    """Return the current commit, with a "+" if the code differs from it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", "src", "benchmarks") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    folder = Path(__file__).parents[1]
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()


def answer(reached: bool | None) -> str:
    """Return "yes", "no", or "-" if unknown."""
    return {True: "yes", False: "no", None: "-"}[reached]


def dtype_name(dtype: torch.dtype) -> str:
    """Return "float32" and the like."""
    return str(dtype).removeprefix("torch.")


def duration(seconds: float) -> str:
    """Return "1.23 s", "45.6 ms" and the like, with three digits."""
    number, unit = (seconds, "s") if seconds >= 0.9995 else (1000 * seconds, "ms")
    return f"{number:.0f} {unit}" if number >= 99.95 else f"{number:#.3g} {unit}"


def spread(times: Times) -> str:
    """Return the median and, in brackets, the quartiles."""
    if len(times.seconds) == 1:
        return duration(times.median) + (" (once)" if times.cold else "")
    lower, upper = times.quartiles
    return f"{duration(times.median)} ({duration(lower)} - {duration(upper)})"


def size(count: float | None) -> str:
    """Return bytes as "123 MB" or "1.2 GB" (10⁶ and 10⁹ bytes); "-" if unknown."""
    if count is None:
        return "-"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def times_as_fast(factor: float) -> str:
    """Return "8.1×"."""
    return f"{factor:.1f}×" if factor < 100 else f"{factor:.0f}×"


def percent(share: float) -> str:
    """Return "95 %"."""
    return f"{100 * share:.0f} %"
