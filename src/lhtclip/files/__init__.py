"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from lhtclip.errors import InputError, OutputError

_BINARY = getattr(os, "O_BINARY", 0)  # of Windows
_TEMPORARY = ".lhtclip-"  # prefix of files that are being written
_OF_THE_FOLDER = frozenset(  # reasons that apply to every other file there
    (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ENODEV)
)


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> Path:
    """Write `data` to a temporary file next to `path`, then rename it.

    An interruption leaves either the old file or the new one, never a part.

    Args:
        path: The file; missing folders are created.
        data: The content, or parts of it in order.

    Raises:
        OutputError: The disk is full or read-only, so that nothing else could be written either.
        InputError: This file cannot be written, or its folder cannot be created.
    """
    temporary = path.with_name(_TEMPORARY + secrets.token_hex(8))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Mode 0666 is narrowed by the umask, as for any new file. No chmod: some mounts refuse it.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            for part in (data,) if isinstance(data, bytes) else data:
                file.write(part)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise
    return path


def remove_temporaries(folder: Path) -> None:
    """Remove half-written files of killed runs from a folder that no other run writes to."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        if path.is_file():
            path.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> InputError:
    """Build the error for a file that cannot be written."""
    kind = OutputError if error.errno in _OF_THE_FOLDER else InputError
    reason = error.strerror or str(error)
    return kind(f"Cannot write {path}: {reason}. Choose a folder that you can write to.")
