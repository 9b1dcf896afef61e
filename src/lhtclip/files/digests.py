"""The SHA-256 of a file, computed once for as long as the file does not change."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from lhtclip.files.regular_files import open_regular


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@lru_cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash a file; `size` and `changed` make the cache notice another file."""
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
