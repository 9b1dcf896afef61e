"""The reproduced tables as Markdown: the paper's numbers next to ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lhtclip.output.markdown import markdown_table
from lhtclip.paper.efficiency import Cost
from lhtclip.paper.reproduce import Measured, Missing, reference_of
from lhtclip.paper.tables import COLUMNS, EFFICIENCY, PARAMETERS, TABLES

_TITLES = {
    "table1": "Table 1: methods with and without LHT-CLIP",
    "atr": "ATR: the threshold τ",
    "ssr": "SSR: layers before the last block, and α",
    "she": "SHE on top of ATR: heads, and β",
    "combination": "Combinations of techniques",
    "stack": "LHT-CLIP with further gains that need no training",
}
_TIMED = {"stack": ("time",)}  # tables that say what a row costs


def table_on_data(
    name: str, rows: Sequence[Measured], found: Sequence[str], missing: Mapping[str, str]
) -> str:
    """Write a table measured on the paper's data sets: measured, published, difference.

    Args:
        name: Name of the table.
        rows: The measured rows.
        found: The data sets that were found.
        missing: Why others were not, by data set.
    """
    header = ("mIoU %: ours (paper, difference)", *found, "average", *_TIMED.get(name, ()))
    lines = [
        (
            each.row.title,
            *(_beside(each.results[column], each.row.published.get(column)) for column in found),
            _average(name, each, found),
            *_times(name, each, rows[0]),
        )
        for each in rows
    ]
    notes = [f"- {column}: {reason}" for column, reason in missing.items()]
    return _page(name, header, lines, [*notes, *_missing_rows(rows)])


def table_on_scenes(name: str, rows: Sequence[Measured], column: str) -> str:
    """Write a table measured on rendered scenes: levels cannot be compared, gains can.

    Args:
        name: Name of the table.
        rows: The measured rows.
        column: The set of scenes.
    """
    measured = {each.row.title: each.results[column] for each in rows}
    lines: list[Sequence[str]] = []
    for each in rows:
        reference = reference_of(each.row, TABLES[name])
        base = measured[reference.title] if reference else None
        published = reference.average if reference else None
        lines.append(
            (
                each.row.title,
                _number(each.results[column]),
                _gain(each.results[column], base),
                _number(each.row.average),
                _gain(each.row.average, published),
                *_times(name, each, rows[0]),
            )
        )
    header = ("mIoU %", "scenes", "gain", "paper, average", "paper's gain", *_TIMED.get(name, ()))
    return _page(name, header, lines, _missing_rows(rows))


def efficiency_table(costs: Mapping[str, Cost]) -> str:
    """Write the cost of methods for an image of 375 x 500 pixels."""
    header = ("", "GFLOPs", "paper", "parameters, 10⁶", "paper", "images/s here", "paper's GPU")
    lines = [
        (
            row.title,
            f"{costs[row.title].multiply_adds:.2f}",
            f"{row.gflops:.2f}",
            f"{costs[row.title].parameters:.1f}",
            f"{PARAMETERS:.1f}",
            f"{costs[row.title].images_per_second:.2f}",
            f"{row.images_per_second:.1f}",
        )
        for row in EFFICIENCY
    ]
    return "\n".join(
        ["## Efficiency: an image of 375 x 500 pixels", "", markdown_table(header, lines)]
    )


def _page(
    name: str, header: Sequence[str], lines: Sequence[Sequence[str]], notes: Sequence[str]
) -> str:
    missing = ["", "Missing:", "", *notes] if notes else []
    return "\n".join([f"## {_TITLES[name]}", "", markdown_table(header, lines), *missing])


def _missing_rows(rows: Sequence[Measured]) -> list[str]:
    return [
        f"- {each.row.title}: {reason}"
        for each in rows
        for reason in {x.reason for x in each.results.values() if isinstance(x, Missing)}
    ]


def _average(name: str, measured: Measured, found: Sequence[str]) -> str:
    if tuple(found) != COLUMNS[name]:
        return "-"
    return _beside(measured.average(found), measured.row.average)


def _times(name: str, measured: Measured, first: Measured) -> tuple[str, ...]:
    """Return how many times as long as the first row a row took, on the data sets of both."""
    if name not in _TIMED:
        return ()
    both = measured.seconds.keys() & first.seconds.keys()
    if not both:
        return ("-",)
    own, base = (sum(each.seconds[column] for column in both) for each in (measured, first))
    return (f"× {own / base:.1f}",)


def _beside(ours: float | Missing | None, paper: float | None) -> str:
    if not isinstance(ours, float) or paper is None:
        return f"{_number(ours)} ({_number(paper)})"
    return f"{ours:.1f} ({paper:.1f}, {ours - paper:+.1f})"


def _number(value: float | Missing | None) -> str:
    return f"{value:.1f}" if isinstance(value, float) else "-"


def _gain(value: float | Missing | None, base: float | Missing | None) -> str:
    return f"{value - base:+.1f}" if isinstance(value, float) and isinstance(base, float) else "-"
