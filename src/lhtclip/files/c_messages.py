"""What C libraries write to stderr, past Python: caught while a file is decoded."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from lhtclip.files.forks import fork_safe_lock

_STDERR = 2
_MOST_BYTES = 4096
_lock = fork_safe_lock()  # stderr belongs to the whole process


@contextmanager
def c_messages_caught() -> Generator[list[str], None, None]:
    """Collect the lines that are written to stderr meanwhile; they are there once it is left.

    Lines that other threads write meanwhile are caught too, so hold it for short. Where there is
    no stderr nothing is caught.
    """
    lines: list[str] = []
    with _lock:
        try:
            kept = os.dup(_STDERR) if sys.__stderr__ else None
        except OSError:
            kept = None
        if kept is None:  # closed, as with `2>&-`: a file may have its number by now
            yield lines
            return
        try:
            with tempfile.TemporaryFile() as file:
                os.dup2(file.fileno(), _STDERR)
                try:
                    yield lines
                finally:
                    os.dup2(kept, _STDERR)
                    file.seek(0)
                    text = file.read(_MOST_BYTES).decode("utf-8", "replace")
                    lines += [line.strip() for line in text.splitlines() if line.strip()]
        finally:
            os.close(kept)
