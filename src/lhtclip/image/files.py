"""Image files: which formats are read, how one is opened safely, and which lie where."""

from __future__ import annotations

import glob
import io
import os
import threading
import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lhtclip.errors import InputError

MAX_PIXELS = 178_956_970  # the count at which Pillow itself takes a file for a decompression bomb

# Formats that are raster images and decoded by Pillow alone (EPS, say, would start Ghostscript).
_SUFFIXES_OF_FORMAT = {
    "AVIF": (".avif",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
SUFFIXES = tuple(suffix for suffixes in _SUFFIXES_OF_FORMAT.values() for suffix in suffixes)

_PILLOW_LIMIT = 89_478_485  # above this many pixels Pillow warns, at opening and at loading
_limit_lock = threading.Lock()


@contextmanager
def open_picture(
    source: str | Path | bytes,
    *,
    formats: Sequence[str] = tuple(_SUFFIXES_OF_FORMAT),
    max_pixels: int = MAX_PIXELS,
) -> Generator[Image.Image, None, None]:
    """Decode an image file (a path or its bytes) in its own mode, first frame, as it is stored.

    Args:
        source: The file.
        formats: Names of the Pillow formats that are tried, whatever the suffix says.
        max_pixels: Largest height x width that is decoded.

    Raises:
        InputError: The file is missing, not an image of these formats, damaged or too large.
    """
    name = "The image" if isinstance(source, bytes) else str(source)
    Image.init()
    installed = [each for each in formats if each in Image.OPEN]
    with ExitStack() as stack:
        try:
            file = (
                io.BytesIO(source)
                if isinstance(source, bytes)
                else stack.enter_context(Path(source).open("rb"))
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"Cannot open {name}: {reason}; give an image file.") from error
        try:
            with _pillow_limited_to(max_pixels):
                picture = Image.open(file, formats=installed)
                if picture.width * picture.height > _PILLOW_LIMIT:
                    picture.load()
            picture.load()
        except UnidentifiedImageError:
            raise InputError(
                f"{name} is not an image that can be read; readable: {', '.join(formats)}."
            ) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise too_large(name, max_pixels) from None
        except Exception as error:  # decoders raise whatever the damage makes them trip over
            raise InputError(f"{name} is damaged or incomplete: {error}.") from error
        yield picture


def find_images(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the image files that the paths stand for, each once, in the order of the paths.

    Args:
        paths: Files, taken whatever their suffix; folders, searched with all their subfolders for
            the known suffixes and sorted, hidden names left out; globs ("shots/**/*.jpg").

    Raises:
        InputError: A path that matches nothing.
    """
    given = [paths] if isinstance(paths, (str, Path)) else paths
    found = {os.path.abspath(file): file for path in given for file in _expand(path)}
    return list(found.values())


def too_large(name: str, max_pixels: int) -> InputError:
    """Build the error for an image `name` of more than `max_pixels` pixels."""
    return InputError(
        f"{name} has more than max_pixels={max_pixels} pixels; make it smaller, or raise "
        "max_pixels if you trust it."
    )


@contextmanager
def _pillow_limited_to(max_pixels: int) -> Generator[None, None, None]:
    """Let Pillow raise above `max_pixels` and be silent below, about odd metadata too.

    Its limit and Python's warning filters belong to the whole process, hence the lock; pictures
    within Pillow's own limit are decoded outside of it.
    """
    with _limit_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _expand(path: str | Path) -> list[Path]:
    matches = [Path(path)]
    if not os.path.exists(path):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    nested = [_images_below(match) if match.is_dir() else [match] for match in matches]
    files = [file for group in nested for file in group]
    if not files:
        raise InputError(
            f"{str(path)!r} is no image file, and no folder or glob with images in it "
            f"({' '.join(SUFFIXES)})."
        )
    return files


def _images_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (name for name in files if not name.startswith("."))
        found += [Path(place, name) for name in visible if name.lower().endswith(SUFFIXES)]
    return sorted(found)
