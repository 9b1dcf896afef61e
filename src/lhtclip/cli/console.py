"""Output of the commands: paths and tables on stdout, messages and progress on stderr."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import click

OFF_A_TERMINAL = 10.0  # seconds between two lines of progress
_CHATTY = r"(PIL|filelock)\b"  # their warnings concern metadata of images, and mounts without locks


def say(text: str) -> None:
    """Write one line to stderr, in the command's name."""
    _to_stderr(f"lhtclip: {' '.join(text.splitlines())}")


def print_path(path: Path | str) -> None:
    """Write a path or URI to stdout, byte for byte as the file system has it."""
    click.echo(os.fsencode(path))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write aligned columns to stdout."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@contextmanager
def warnings_shown() -> Generator[None, None, None]:
    """Show the library's warnings on stderr, and none that packages raise beside their work."""
    logger, handler = logging.getLogger("lhtclip"), _SayHandler(logging.WARNING)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=_CHATTY)
            yield
    finally:
        logger.removeHandler(handler)


class _SayHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


class Progress:
    """A bar on stderr with rate and remaining time; off a terminal a line now and then.

    Use it in a `with` statement, and call it with the number done and the total.
    """

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        """Start the clock; writes nothing before the first call.

        Args:
            what: What is counted, in the plural.
            quiet: Write nothing.
        """
        from tqdm import tqdm  # not at the top: `lhtclip --help` does without

        live = bool(sys.stderr and sys.stderr.isatty())  # services may have no stderr
        pause = 0.1 if live else OFF_A_TERMINAL
        self._bar = tqdm(
            desc=f"lhtclip: {what}",
            file=_Stderr(),
            disable=quiet or not sys.stderr,
            mininterval=pause,
            miniters=1,
            delay=pause,
            smoothing=0,
            dynamic_ncols=True,
        )

    def __call__(self, done: int, total: int, *, already: int = 0, note: str = "") -> None:
        """Report progress; most reports are not written.

        Args:
            done: Number done.
            total: Total number.
            already: How many of them were done before the clock started.
            note: Anything to add.
        """
        self._bar.total, self._bar.initial = total, already
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write the last state, if any was written, and end the line."""
        self._bar.close()


class _Stderr(io.TextIOBase):
    """What bars write to: where nobody can read it, the work goes on."""

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return sys.stderr.encoding  # decides whether bars can be drawn with blocks

    def write(self, text: str) -> int:
        _to_stderr(text, end=False)
        return len(text)

    def fileno(self) -> int:  # gives the width of the terminal
        return sys.stderr.fileno()


def _to_stderr(text: str, *, end: bool = True) -> None:
    """Write text; where nobody can read it, the work goes on."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True, nl=end)
