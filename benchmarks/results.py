"""What a benchmark found: printed as it comes, kept as JSON with the machine it was found on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import Options, Times
from lhtclip.cli.console import print_table
from lhtclip.evaluation.machine import hardware, versions
from lhtclip.files import write_atomically


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are read."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Goal:
    """What was to be reached, and what was; `reached` is None where it was not measured."""

    what: str
    target: str
    measured: str
    reached: bool | None


class Results:
    """Collects what one benchmark finds on one device."""

    def __init__(self, name: str, options: Options) -> None:
        """Note when and on what it is measured, before the benchmark itself loads the machine."""
        self.name, self.options = name, options
        self.tables: list[Table] = []
        self.goals: list[Goal] = []
        self.notes: list[str] = []
        self.numbers: dict[str, Any] = {}
        self._load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        self._date = datetime.now(timezone.utc)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table and print it."""
        table = Table(title, tuple(header), tuple(tuple(row) for row in rows))
        self.tables.append(table)
        print(f"\n{title}\n", flush=True)
        print_table(table.header, table.rows)

    def goal(self, what: str, target: str, measured: str, *, reached: bool | None) -> None:
        """Add what was to be reached and print it.

        Args:
            what: As in the list of goals.
            target: What it should be at least, or at most.
            measured: What it is, or why that is not known.
            reached: None where it is not known.
        """
        self.goals.append(Goal(what, target, measured, reached))
        print(f"\n{what}: {measured}; to reach: {target}: {answer(reached)}", flush=True)

    def note(self, text: str) -> None:
        """Add a sentence, such as what was left out and why, and print it."""
        self.notes.append(text)
        print(f"\n{text}", flush=True)

    def keep(self, what: str, times: Mapping[str, Times]) -> None:
        """Keep every single time, for whoever wants more than the tables tell."""
        self.numbers[what] = {name: each.to_json() for name, each in times.items()}

    def save(self) -> Path:
        """Write everything to `<name>.<device>.json`."""
        options = self.options
        content = {
            "benchmark": self.name,
            "date": f"{self._date:%Y-%m-%d %H:%M} UTC",
            "commit": commit(),
            "hardware": hardware(options.device) | {"load_before": self._load},
            "versions": versions(),
            "options": {
                "quick": options.quick,
                "model": options.model,
                "dtypes": [dtype_name(dtype) for dtype in options.dtypes],
                "budget": options.clock.budget,
                "seconds": options.clock.used,
            },
            "goals": [asdict(goal) for goal in self.goals],
            "tables": [asdict(table) for table in self.tables],
            "notes": self.notes,
            "numbers": self.numbers,
        }
        path = options.out / f"{self.name}.{options.device.type}.json"
        return write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def commit() -> str | None:
    """Return the commit that is checked out, "+" behind it where the code differs from it."""
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
    """Return "yes", "no", or "?" where it is not known."""
    return {True: "yes", False: "no", None: "?"}[reached]


def dtype_name(dtype: torch.dtype) -> str:
    """Return "float32" and the like."""
    return str(dtype).removeprefix("torch.")


def duration(seconds: float) -> str:
    """Return "1.23 s", "45.6 ms" and the like: three digits."""
    number, unit = (seconds, "s") if seconds >= 0.9995 else (1000 * seconds, "ms")
    return f"{number:.0f} {unit}" if number >= 99.95 else f"{number:#.3g} {unit}"


def spread(times: Times) -> str:
    """Return the median and, in brackets, the quartiles."""
    if len(times.seconds) == 1:
        return duration(times.median) + (" (once)" if times.cold else "")
    lower, upper = times.quartiles
    return f"{duration(times.median)} ({duration(lower)} - {duration(upper)})"


def size(count: float | None) -> str:
    """Return bytes as "123 MB" or "1.2 GB", of 10⁶ and 10⁹ bytes; "-" where it is not known."""
    if count is None:
        return "-"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def times_as_fast(factor: float) -> str:
    """Return "8.1×"."""
    return f"{factor:.1f}×" if factor < 100 else f"{factor:.0f}×"
