"""Output of the commands: paths and tables on stdout, messages and progress on stderr."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import click


def say(text: str) -> None:
    """Write one line to stderr, in the command's name."""
    _to_stderr(f"lhtclip: {' '.join(text.splitlines())}")


def print_path(path: Path) -> None:
    """Write a path to stdout, byte for byte as the file system has it."""
    click.echo(os.fsencode(path))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write aligned columns to stdout."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@contextmanager
def warnings_shown() -> Generator[None, None, None]:
    """Show the library's warnings on stderr."""
    logger, handler = logging.getLogger("lhtclip"), _SayHandler(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _SayHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


class Progress:
    """A counter on stderr: a line that is rewritten on a terminal, elsewhere a line now and then.

    Use it in a `with` statement, and call it with the number done and the total.
    """

    def __init__(self, what: str, *, quiet: bool = False, pause: float = 10.0) -> None:
        """Start; writes nothing before the first call.

        Args:
            what: What is counted, in the plural.
            quiet: Write nothing.
            pause: Seconds between lines if stderr is not a terminal.
        """
        self._what, self._quiet = what, quiet
        self._live = bool(sys.stderr and sys.stderr.isatty())  # services may have no stderr
        self._pause = 0.1 if self._live else pause
        self._start = self._written = time.monotonic()
        self._state: str | None = None  # last reported
        self._shown: str | None = None  # last written
        self._width = 0

    def __call__(self, done: int, total: int, *, already: int = 0, note: str = "") -> None:
        """Report progress; most reports are not written.

        Args:
            done: Number done.
            total: Total number.
            already: How many of them were done before the clock started.
            note: Anything to add.
        """
        parts = (f"{done}/{total} {self._what}", note, self._remaining(done, total, already))
        self._state = ", ".join(part for part in parts if part)
        if time.monotonic() - self._written >= self._pause:
            self._write()

    def __enter__(self) -> Progress:
        """Start the clock."""
        self._start = self._written = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the last state and end the line."""
        if self._state != self._shown:
            self._write()
        if self._live and self._width:
            _to_stderr("")

    def _write(self) -> None:
        if self._quiet or self._state is None:
            return
        self._written, self._shown = time.monotonic(), self._state
        text = f"lhtclip: {self._state}"
        if self._live:
            _to_stderr("\r" + text.ljust(self._width), end=False)
            self._width = len(text)
        else:
            _to_stderr(text)

    def _remaining(self, done: int, total: int, already: int) -> str:
        elapsed = time.monotonic() - self._start
        if elapsed < 3 or not already < done < total:
            return ""
        minutes, seconds = divmod(round(elapsed / (done - already) * (total - done)), 60)
        return f"{minutes}:{seconds:02d} left"


def _to_stderr(text: str, *, end: bool = True) -> None:
    """Write text; where nobody can read it, the work goes on."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True, nl=end)
