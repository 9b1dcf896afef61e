"""Write the pages that are made from the package itself: `python -m docs.generated`.

The references of the command line and of the Python API are made whenever the site is built, so
they are always current and not kept in the repository.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import lhtclip
from lhtclip.cli import group
from lhtclip.files import write_atomically

FOLDER = Path(__file__).with_name("reference")
CLI = """\
# Command line

`lhtclip COMMAND --help` prints the same text. Results go to stdout; progress and messages
go to stderr.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | some images could not be read; the others are done |
| 2 | the input cannot be used, or the output not written; the message says why and what to do |
| 130, 143, 129 | interrupted, terminated, terminal gone; run the same command again to continue |
| 141 | nobody reads stdout any more, as in `lhtclip models \\| head -1` |
"""
API = """\
# Python API

Everything here can be imported from `lhtclip`. `METHODS` is the dictionary of all methods by name.
"""
# What most programs need comes first; the rest follows by name.
FIRST = ("Segmenter", "EncodedImage", "Segmentation", "label_files", "SegmenterConfig")


def main() -> None:
    """Write the pages, into the folder given or else into the documentation."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, text in pages().items():
        write_atomically(folder / name, text.encode())


def pages() -> dict[str, str]:
    """Return the text of every page by its file name."""
    return {"cli.md": cli_page(), "api.md": api_page()}


def api_page() -> str:
    """Return directives for mkdocstrings, one for each public class and function."""
    names = (*FIRST, *sorted(set(lhtclip.__all__) - set(FIRST)))
    public = {name: getattr(lhtclip, name) for name in names}
    directives = [
        f"::: {each.__module__}.{name}\n"
        for name, each in public.items()
        if inspect.isclass(each) or inspect.isfunction(each)
    ]
    return "\n".join([API, *directives])


def cli_page() -> str:
    """Return the help of every command as Markdown."""
    root = click.Context(group, info_name="lhtclip", **group.context_settings)
    return "\n".join([CLI, *(part for each in _commands(root) for part in _described(each))])


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
