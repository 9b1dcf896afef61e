"""What GDAL raises while it writes, as one error of ours."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lhtclip.errors import OutputError, reason_of


@contextmanager
def gdal_writes(path: Path) -> Generator[None, None, None]:
    """Turn errors of rasterio, pyogrio and the system into one about a file.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # rasterio's and pyogrio's are some of these
        raise OutputError(
            f"Cannot write {path}: {reason_of(error)}. Choose a folder with more space, or one "
            "that you can write to."
        ) from error
