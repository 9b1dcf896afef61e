"""Only regular files are read: a FIFO, a socket or a console is waited for, a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from lhtclip.errors import InputError

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_POINTER = b"version https://git-lfs.github.com/spec/"  # stands for a file not fetched


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


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: The file is missing or unreadable, it is not a regular file, or it is a pointer of
            Git LFS.
        ValueError: The path cannot be one, such as one with a null character.
    """
    kind = special_kind(os.stat(path).st_mode)
    if kind:
        raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", str(path))
    file = Path(path).open("rb")  # noqa: SIM115
    if file.peek(len(_POINTER)).startswith(_POINTER):
        file.close()
        raise OSError(errno.EINVAL, "it is a pointer of Git LFS: run 'git lfs pull'", str(path))
    return file


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
