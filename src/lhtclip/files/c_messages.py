"""What C libraries write to stderr, past Python: caught while a file is decoded."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager

_STDERR = 2
_MOST_BYTES = 4096
_lock = threading.Lock()  # stderr belongs to the whole process


@contextmanager
def c_messages_caught() -> Generator[list[str], None, None]:
    """Collect the lines that are written to stderr meanwhile; they are there once it is left.

    Lines that other threads write meanwhile are caught too, so hold it for short. Where there is
    no stderr nothing is caught.
    """
    lines: list[str] = []
    with _lock:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # closed, as with `2>&-`
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
