"""Every row of the leaderboard that this package can run has a command that it takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lhtclip.cli.evaluate import command
from lhtclip.datasets import DATASETS
from lhtclip.evaluation.published_protocols import protocol_for, publication_of

PAGE = (Path(__file__).parents[2] / "docs/reports/leaderboard.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?:\*\*)?([^|*]+?)(?:\*\*)? \| (.+?) \|", re.MULTILINE)


def rows(heading: str, end: str) -> dict[str, str]:
    """Return the second cell of each row by the first, between two headings."""
    part = PAGE.split(heading)[1].split(end)[0]
    found = dict(ROW.findall(part))
    return {name: cell for name, cell in found.items() if not set(name) <= set("- ")}


COMMANDS = rows("### Commands", "## CLIP with other networks")


def test_every_row_has_a_command_or_is_not_implemented() -> None:
    methods = rows("## CLIP alone", "### How to read the rows").keys() - {"method"}
    (missing,) = [row for row, cell in COMMANDS.items() if cell == "not implemented"]
    assert methods - set(missing.split(", ")) == COMMANDS.keys() - {"row", missing}


def test_the_eight_data_sets_are_named() -> None:
    (sets,) = re.findall(r'^sets="(.*)"$', PAGE, re.MULTILINE)
    assert set(sets.split()) == set(DATASETS)


@pytest.mark.parametrize("row", [name for name, cell in COMMANDS.items() if "--method" in cell])
def test_commands_are_taken(row: str) -> None:
    options = shlex.split(COMMANDS[row].strip("`"))
    given = command.make_context("evaluate", ["voc21", "--root", "data", *options]).params
    publication = given["protocol"] or publication_of(given["method"], lht=given["lht"])
    for dataset in DATASETS:
        assert protocol_for(dataset, publication).dataset == dataset
    assert given["lht"] == ("LHT" in row)
