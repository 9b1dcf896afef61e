"""What messages recommend exists: options, commands, extras, models and variables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from lhtclip.checkpoints.hub import canonical_name
from lhtclip.cli import group

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/lhtclip"
OTHERS = {"--head", "--object-store-memory"}  # of `ray start`
VARIABLES = {"LHTCLIP_COMPLETE"}  # of the shell


@cache
def texts() -> tuple[str, ...]:
    """All strings of the package but docstrings, what is put into them as "…"."""
    found: list[str] = []
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        skipped = {
            id(part)
            for node in ast.walk(tree)
            for part in (
                _docstring(node),
                *(node.values if isinstance(node, ast.JoinedStr) else ()),
            )
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    each.value if isinstance(each, ast.Constant) else "…" for each in node.values
                )
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and id(node) not in skipped:
                found += [node.value] if isinstance(node.value, str) else []
    return tuple(found)


def _docstring(node: ast.AST) -> ast.AST | None:
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    return first.value if isinstance(first, ast.Expr) else None


def named(pattern: str) -> set[str]:
    """All that matches in messages: strings of more than one word."""
    return {each for text in texts() if " " in text.strip() for each in re.findall(pattern, text)}


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found
            yield from commands(inner, found)


@pytest.fixture(scope="module")
def tree() -> dict[str, click.Command]:
    return dict(commands("lhtclip", group))


def test_options(tree: dict[str, click.Command]) -> None:
    options = {
        name
        for command in tree.values()
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    recommended = named(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]")
    assert len(recommended) > 50
    assert recommended - options - OTHERS - {"--help", "--version"} == set()


def test_commands(tree: dict[str, click.Command]) -> None:
    recommended = named(r"`lhtclip ([a-z]+)")
    assert len(recommended) > 8
    assert recommended <= tree.keys()


def test_extras() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    recommended = named(r"lhtclip\[([a-z]+)\]")
    assert {"heif", "tiff", "analysis"} <= recommended
    assert all(re.search(rf"^{extra} = \[", project, re.M) for extra in recommended)


def test_models() -> None:
    recommended = named(r"(?<![\w/.-])(?:ViT|google)[-/][\w-]*[a-z0-9](?![\w.@/-])")
    assert "ViT-B-16" in recommended
    for name in recommended:
        canonical_name(name)


def test_variables() -> None:
    read = {text for text in texts() if re.fullmatch(r"LHTCLIP_[A-Z_]+", text)}
    assert named(r"LHTCLIP_[A-Z]+(?:_[A-Z]+)*") <= read | VARIABLES
