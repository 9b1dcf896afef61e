"""Files appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lhtclip.errors import InputError


def write_atomically(path: Path, data: bytes) -> Path:
    """Write `data` to a temporary file beside `path`, then rename it into place.

    An interruption leaves either the old file or the new one, never a part.

    Raises:
        InputError: The folder cannot be created or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise
    return path


def unwritable(path: Path, error: OSError) -> InputError:
    """Build the error for a file that cannot be written."""
    reason = error.strerror or str(error)
    return InputError(f"Cannot write {path}: {reason}. Choose a folder that you can write to.")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
