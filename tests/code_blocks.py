"""The code blocks of a page of the documentation, also those in the items of a list."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- not run: (?P<reason>[^>]*) -->\n(?P=indent))?"
    r"```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page; `reason` is empty where the tests of the page run it."""

    language: str
    code: str
    reason: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            textwrap.dedent(found["code"]),
            found["reason"] or "",
            text.count("\n", 0, found.start("code")),
        )
        for found in _BLOCK.finditer(text)
    ]
