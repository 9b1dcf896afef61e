"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from lhtclip.errors import InputError, OutputError, reason_of
from lhtclip.files.temporaries import temporary_beside

_BINARY = getattr(os, "O_BINARY", 0)  # of Windows
_OF_THE_FOLDER = frozenset(  # reasons that apply to every other file there
    (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ENODEV)
)

_NO_RENAMES = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM)  # of bucket mounts


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> Path:
    """Write `data` to a temporary file next to `path`, then rename it.

    An interruption leaves either the old file or the new one, never a part; only on mounts that
    cannot rename files may a part be left.

    Args:
        path: The file; missing folders are created.
        data: The content, or parts of it in order.

    Raises:
        OutputError: The disk is full or read-only, so that nothing else could be written either.
        InputError: This file cannot be written, or its folder cannot be created.
    """
    parts = (data,) if isinstance(data, bytes) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(path) as temporary:
            # Mode 0666 is narrowed by the umask, as for any new file. No chmod: some mounts refuse
            # it.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
            with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
                for part in parts:
                    file.write(part)
            put(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def put(temporary: Path, path: Path) -> None:
    """Give a finished file its name; on mounts that cannot rename files, copy it.

    Raises:
        OSError: Neither is possible.
    """
    try:
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in _NO_RENAMES:
            raise
        try:
            shutil.copyfile(temporary, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def unwritable(path: Path, error: OSError) -> InputError:
    """Build the error for a file that cannot be written."""
    kind = OutputError if error.errno in _OF_THE_FOLDER else InputError
    return kind(f"Cannot write {path}: {reason_of(error)}. Choose a folder that you can write to.")
