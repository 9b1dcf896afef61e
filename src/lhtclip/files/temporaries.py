"""Files that are being written, under names of their own, and their removal.

A failure removes them, so does a sudden end, and what a killed process left goes away when another
one writes into the same folder.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".lhtclip-"
_begun: set[Path] = set()  # of this process
_searched: set[Path] = set()  # folders


@contextmanager
def temporary_beside(path: Path, *, suffix: str = "") -> Generator[Path, None, None]:
    """Yield an unused path next to `path`, and remove whatever is there afterwards.

    Args:
        path: What the file or folder will become; its folder must exist.
        suffix: End of the name, for writers that go by it.
    """
    _remove_once(path.parent)
    name = f"{_PREFIX}{_here()}-{os.getpid()}-{secrets.token_hex(8)}{suffix}"
    temporary = path.with_name(name)
    _begun.add(temporary)
    try:
        yield temporary
    finally:
        _remove(temporary)
        _begun.discard(temporary)


def remove_own() -> None:
    """Remove all that this process has begun, because it ends now."""
    for path in tuple(_begun):
        _remove(path)


def remove_all(folder: Path) -> None:
    """Remove all temporary files from a folder that no other process writes to."""
    for path in folder.glob(f"{_PREFIX}*"):
        _remove(path)


def _remove_once(folder: Path) -> None:
    """Remove what dead processes left in a folder, at the first call for it."""
    if folder in _searched:
        return
    _searched.add(folder)
    try:
        left = [path for path in folder.glob(f"{_PREFIX}*") if _is_abandoned(path.name)]
    except OSError:  # it can be written to, but not listed
        return
    for path in left:
        _remove(path)


def _is_abandoned(name: str) -> bool:
    """Return whether the process in a name ran on this machine and has ended."""
    place, _, rest = name.removeprefix(_PREFIX).partition("-")
    number = rest.partition("-")[0]
    if place != _here() or not number.isascii() or not number.isdigit():
        return False
    if sys.platform == "win32":  # which refuses to remove a file that is open
        return int(number) != os.getpid()
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def _here() -> str:
    """Identify this machine, and a container on it: process ids are theirs."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:  # the next process tries again
        pass
