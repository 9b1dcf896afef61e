"""Where the package keeps its caches."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def cache_folder(
    environment: Mapping[str, str] = os.environ, *, platform: str = sys.platform
) -> Path:
    """Return $LHTCLIP_CACHE, or the folder "lhtclip" where the platform keeps caches.

    That is $XDG_CACHE_HOME or ~/.cache, on Windows %LOCALAPPDATA%.

    Raises:
        RuntimeError: The user has no home folder.
    """
    if own := environment.get("LHTCLIP_CACHE"):
        return Path(own).expanduser()
    base = environment.get("LOCALAPPDATA" if platform == "win32" else "XDG_CACHE_HOME")
    if base and Path(base).is_absolute():  # XDG: a relative path is to be ignored
        return Path(base) / "lhtclip"
    return Path.home() / ".cache" / "lhtclip"
