"""The results as the tables of docs/reports/performance.md.

`python -m benchmarks.report` writes what lies in runs/bench/ between the marks of that page.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import NAMES
from benchmarks.harness import RESULTS
from benchmarks.results import answer
from lhtclip.files import write_atomically

PAGE = Path(__file__).parents[1] / "docs" / "reports" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_PLACES = {"cpu": "On the CPU", "cuda": "On the GPU", "mps": "On Apple's GPU"}
_TITLES = {
    "tower": "The tower",
    "lht": "LHT",
    "end_to_end": "End to end",
    "decode": "Decoding",
    "text": "Texts",
    "words": "New words",
    "folder": "A folder of photographs",
    "startup": "Start",
    "scaling": "Scaling",
    "precision": "Precision",
    "engines": "Engines",
}

Result = Mapping[str, Any]


def main(given: list[str] | None = None) -> int:
    """Fill the page and say so."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to fill")
    options = parser.parse_args(given)
    results = load(options.results)
    if not results:
        print(f"There are no results in {options.results}: run `make bench`.", file=sys.stderr)
        return 1
    page = fill(options.page.read_text(encoding="utf-8"), markdown(results))
    write_atomically(options.page, page.encode())
    print(options.page)
    return 0


def load(folder: Path) -> list[Result]:
    """Read all results, by device, in the order in which benchmarks are run."""
    found: list[Result] = [
        json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")
    ]
    known = [result for result in found if result.get("benchmark") in NAMES]
    places = list(_PLACES)
    return sorted(
        known,
        key=lambda result: (
            places.index(result["hardware"]["device"]),
            NAMES.index(result["benchmark"]),
        ),
    )


def fill(page: str, content: str) -> str:
    """Put content between the marks of a page.

    Raises:
        ValueError: The page has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page needs a line {BEGIN} and, below it, a line {END}.")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def markdown(results: Sequence[Result]) -> str:
    """Write a section for each device: machine, goals, and every table."""
    devices = dict.fromkeys(result["hardware"]["device"] for result in results)
    return "\n\n".join(
        _device(device, [r for r in results if r["hardware"]["device"] == device])
        for device in devices
    )


def _device(device: str, results: Sequence[Result]) -> str:
    parts = [f"## {_PLACES[device]}", *_machines(results)]
    if any(result["options"]["quick"] for result in results):
        parts.append("**Measured with --quick: these numbers show that it works, and no more.**")
    goals = [goal for result in results for goal in result["goals"]]
    if goals:
        rows = [(g["what"], g["target"], g["measured"], answer(g["reached"])) for g in goals]
        parts.append(_table(("what", "to reach", "measured", "reached"), rows))
    for result in results:
        parts.append(f"### {_TITLES[result['benchmark']]}")
        parts.append(f"`python -m benchmarks.{result['benchmark']}`")
        for table in result["tables"]:
            parts += [f"**{table['title']}**", _table(table["header"], table["rows"])]
        if result["notes"]:
            parts.append("\n".join(f"- {note}" for note in result["notes"]))
    return "\n\n".join(parts)


def _machines(results: Sequence[Result]) -> list[str]:
    """Describe each machine that was measured on, and what was measured there when."""
    by_machine: dict[str, list[Result]] = {}
    for result in results:
        by_machine.setdefault(_machine(result), []).append(result)
    parts: list[str] = []
    for machine, own in by_machine.items():
        rows = [
            (
                result["benchmark"],
                result["date"],
                result["commit"] or "-",
                _load(result["hardware"]["load_before"]),
                f"{result['options']['seconds']:.0f} s",
            )
            for result in own
        ]
        header = ("benchmark", "date", "commit", "load before", "took")
        parts += [machine, _table(header, rows)]
    return parts


def _machine(result: Result) -> str:
    hardware, versions = result["hardware"], result["versions"]
    gpu = f"{hardware['gpu']}; " if hardware["gpu"] else ""
    return (
        f"{gpu}{hardware['cpu']}, {hardware['cores']} cores, {hardware['threads']} threads, "
        f"{hardware['system']}; torch {versions['torch']}, Python {versions['python']}."
    )


def _load(load: float | None) -> str:
    return "-" if load is None else f"{load:.1f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
