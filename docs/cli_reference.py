"""Write the reference of the command line from its own help: `python -m docs.cli_reference`.

The page is made whenever the site is built, so it is not kept in the repository.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from lhtclip.cli import group
from lhtclip.files import write_atomically

PAGE = Path(__file__).with_name("reference") / "cli.md"
ABOUT = """\
# Command line

`lhtclip COMMAND --help` prints the same text. Results go to stdout; progress and messages
go to stderr.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | some images could not be read; the others are done |
| 2 | the input cannot be used; the message says why and what to do |
| 130 | interrupted; run the same command again to continue |
"""


def main() -> None:
    """Write the page, to the path given or else to its place in the documentation."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    write_atomically(page, reference().encode())


def reference() -> str:
    """Return the whole page as Markdown."""
    root = click.Context(group, info_name="lhtclip", **group.context_settings)
    return "\n".join([ABOUT, *(part for each in _commands(root) for part in _described(each))])


def _commands(parent: click.Context) -> Iterator[click.Context]:
    """Yield a context for every command below a group, in the group's order."""
    command = parent.command
    assert isinstance(command, click.Group)
    for name in command.list_commands(parent):
        child = command.get_command(parent, name)
        assert child is not None
        context = click.Context(child, info_name=name, parent=parent)
        yield context
        if isinstance(child, click.Group):
            yield from _commands(context)


def _described(context: click.Context) -> Iterator[str]:
    """Yield heading, usage, text and options of a command."""
    command = context.command
    yield f"{'#' * context.command_path.count(' ')}# {context.command_path}\n"
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n"
    yield f"{_text(command.help or '')}\n"
    rows = [
        record
        for parameter in command.get_params(context)
        if parameter.name != "help" and (record := parameter.get_help_record(context))
    ]
    if rows:
        yield "| option | |\n| --- | --- |"
    yield from (f"| `{_cell(names)}` | {_text(_cell(text))} |" for names, text in rows)
    yield ""


def _text(text: str) -> str:
    """Make Markdown of a help text: `code` stays, and nothing else has a meaning of its own."""
    parts = inspect.cleandoc(text).split("`")
    parts[::2] = (re.sub(r"([<>*_\[\]])", r"\\\1", part) for part in parts[::2])
    return "`".join(parts)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", r"\|")


if __name__ == "__main__":
    main()
