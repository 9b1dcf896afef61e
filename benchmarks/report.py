"""Write the results as the tables of docs/reports/performance.md.

`python -m benchmarks.report` writes the results in runs/bench/ between that page's marks for the
device they were measured on, and leaves the rest of the page unchanged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS
from lhtclip.files import write_atomically
from lhtclip.output.markdown import markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "reports" / "performance.md"
TITLES = {
    "gpu": "Tests",
    "tower": "The tower",
    "end_to_end": "End to end",
    "decode": "Decoding",
    "text": "Texts",
    "folder": "A folder of photographs",
    "server": "The server's micro-batches",
    "engines": "Engines",
    "formats": "Regions of a large label map",
}

Result = Mapping[str, Any]


def main(given: list[str] | None = None) -> int:
    """Fill the page and print its path."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to fill")
    options = parser.parse_args(given)
    results = load(options.results)
    if not results:
        print(f"There are no results in {options.results}: run `make bench`.", file=sys.stderr)
        return 1
    page = options.page.read_text(encoding="utf-8")
    for device in dict.fromkeys(result["hardware"]["device"] for result in results):
        own = [result for result in results if result["hardware"]["device"] == device]
        page = fill(page, device, markdown(own))
    write_atomically(options.page, page.encode())
    print(options.page)
    return 0


def load(folder: Path) -> list[Result]:
    """Read all results, in the order of the benchmarks."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    order = list(TITLES)
    known = [result for result in found if result.get("benchmark") in order]
    return sorted(known, key=lambda result: order.index(result["benchmark"]))


def fill(page: str, device: str, content: str) -> str:
    """Put content between the page's marks for a device.

    Raises:
        ValueError: The page has no such marks.
    """
    begin, end = (f"<!-- measured on {device}: {side} -->" for side in ("begin", "end"))
    before, found, rest = page.partition(begin)
    _, found_too, after = rest.partition(end)
    if not found or not found_too:
        raise ValueError(f"The page needs a line {begin} and, below it, a line {end}.")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def markdown(results: Sequence[Result]) -> str:
    """Write one dated table of all goals, then a section for each benchmark."""
    first = results[0]
    hardware, versions = first["hardware"], first["versions"]
    processor = f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['threads']} threads"
    machine = hardware["gpu"] or processor
    details = f"{processor}, {hardware['system']}; torch {versions['torch']}, "
    parts = [
        f"## {machine}, {first['date'].partition(' ')[0]}",
        f"{details}Python {versions['python']}.",
    ]
    if any(result["quick"] for result in results):
        parts.append("**Measured with `--quick`: the numbers only show that everything works.**")
    goals = [
        (goal["what"], goal["target"], goal["measured"], goal["reached"])
        for result in results
        for goal in result["goals"]
    ]
    parts.append(markdown_table(("what", "goal", "measured", "reached"), goals))
    return "\n\n".join([*parts, *(_section(result) for result in results if result["tables"])])


def _section(result: Result) -> str:
    name, load = result["benchmark"], result["hardware"]["load_before"]
    parts = [
        f"### {TITLES[name]}",
        f"`python -m benchmarks.{name}`, {result['date']}, commit {result['commit'] or 'unknown'}, "
        f"{result['seconds']:.0f} s, load before: {'unknown' if load is None else f'{load:.1f}'}.",
    ]
    for table in result["tables"]:
        parts += [f"**{table['title']}**", markdown_table(table["header"], table["rows"])]
    if result["notes"]:
        parts.append("\n".join(f"- {note}" for note in result["notes"]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
