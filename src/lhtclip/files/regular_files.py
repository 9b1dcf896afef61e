"""Only regular files are read: a FIFO, a socket or a console is waited for, a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from lhtclip.errors import InputError

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_kind(mode: int) -> str | None:
    """Name what a file is, by its mode, where it is neither a regular file nor a folder."""
    return _KINDS.get(stat.S_IFMT(mode))


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Refuse what another library would wait for; a path that does not exist is left to it.

    Raises:
        InputError: It is a FIFO, a socket or a device.
    """
    try:
        kind = special_kind(os.stat(path).st_mode)
    except (OSError, ValueError):
        return
    if kind:
        raise InputError(f"{os.fspath(path)} is {kind}, and only regular files are read.")


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: The file is missing or unreadable, or it is not a regular file.
        ValueError: The path cannot be one, such as one with a null character.
    """
    kind = special_kind(os.stat(path).st_mode)
    if kind:
        raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", str(path))
    return Path(path).open("rb")


def read_regular(path: str | os.PathLike[str], *, most: int) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        OSError: As `open_regular`, or the file is larger.
        ValueError: As `open_regular`.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than the {most} bytes that are read", str(path))
    return content
