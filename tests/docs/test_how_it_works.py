"""The page that explains has all its figures, small enough to load, and all its numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "explanation" / "how-it-works.md").read_text(encoding="utf-8")


def test_every_figure_is_there_and_small() -> None:
    figures = re.findall(r"\]\(\.\./(images/how-[^)]+)\)", PAGE)
    assert sorted(figures) == sorted(f"images/{each.name}" for each in DOCS.glob("images/how-*"))
    assert all((DOCS / figure).stat().st_size < 150_000 for figure in figures)


def test_every_number_was_filled_in() -> None:
    blocks = re.findall(r"<!-- (\w+): by docs\.figures -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert [name for name, _ in blocks] == ["layers", "tokens", "heads", "scenes", "miou"]
    assert all(re.search(r"\d\.\d", text) for _, text in blocks)


def test_numbers_are_put_between_their_comments() -> None:
    pytest.importorskip("matplotlib")
    from docs.figures import filled

    page = (
        "a\n<!-- b: by docs.figures -->\nold\n<!-- end -->\n"
        "<!-- c: by docs.figures -->\n<!-- end -->"
    )
    page = filled(filled(page, "b", "new"), "c", "| x |")
    assert page == (
        "a\n<!-- b: by docs.figures -->\nnew\n<!-- end -->\n"
        "<!-- c: by docs.figures -->\n| x |\n<!-- end -->"
    )
    with pytest.raises(SystemExit, match="0 places for 'd'"):
        filled(page, "d", "new")
