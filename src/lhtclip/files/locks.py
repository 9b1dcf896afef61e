"""A lock file: one process at a time writes into a folder."""

from __future__ import annotations

import errno
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lhtclip.errors import OutputError
from lhtclip.files import unwritable

_NO_LOCKS = (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # of mounts
_logger = logging.getLogger("lhtclip")


@contextmanager
def locked(file: Path, *, busy: str, patience: float = 0) -> Generator[None, None, None]:
    """Hold a lock file, whose folder is created if needed; the lock ends with the process.

    Args:
        file: The lock file.
        busy: What the error says where another process holds it.
        patience: Seconds to wait for another process.

    Raises:
        OutputError: Another process holds it.
        InputError: It cannot be written.
    """
    lock = FileLock(file, timeout=patience)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise OutputError(busy) from error
    except (OSError, NotImplementedError) as error:  # the second of older versions of filelock
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise unwritable(file, error) from error
        _logger.warning("%s has no locks: run one command at a time there.", file.parent)
    try:
        yield
    finally:
        lock.release()


def is_locked(file: Path) -> bool:
    """Say whether another process holds a lock file that exists."""
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
    lock.release()
    return False
