"""Open image files safely: known formats only, bounded size, one error for any damage."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from lhtclip.errors import InputError, reason_of
from lhtclip.files.c_messages import c_messages_caught
from lhtclip.files.forks import fork_safe_lock
from lhtclip.files.memory import check_memory
from lhtclip.files.regular_files import open_regular
from lhtclip.image.kinds import START, named_kind

MAX_PIXELS = 178_956_970  # the count above which Pillow itself suspects a decompression bomb

# Raster formats that Pillow decodes by itself (EPS, for example, would start Ghostscript).
SUFFIXES_OF_FORMAT = {
    "AVIF": (".avif",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
SUFFIXES_OF_HEIF = (".heic", ".heif", ".hif")  # with the package pillow-heif
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")

_PILLOW_LIMIT = 89_478_485  # above this many pixels Pillow warns, at opening and at loading
_COUNTED = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")  # a JPEG's further frames are gain maps, previews
_PER_PIXEL = 12  # bytes while a file is decoded: what Pillow holds, and an array of it twice
_LONGEST = 400  # characters of a path in a message
_OVERVIEW = 254  # the tag of a TIFF's page that says it is a smaller copy
_PNG_START, _PNG_BITS_AT = b"\x89PNG\r\n\x1a\n", 24
_limit_lock = fork_safe_lock()
_logger = logging.getLogger("lhtclip")
logging.getLogger("PIL").addHandler(logging.NullHandler())  # it logs what it raises too


class UnknownKindError(InputError):
    """No known decoder recognises the file."""


def has_heif() -> bool:
    """Return whether HEIC files can be read."""
    return find_spec("pillow_heif") is not None


@contextmanager
def open_picture(
    source: str | os.PathLike[str] | bytes,
    *,
    formats: Sequence[str] = tuple(SUFFIXES_OF_FORMAT),
    max_pixels: int = MAX_PIXELS,
) -> Generator[Image.Image, None, None]:
    """Decode an image file (a path or its bytes) in its own mode, first frame, as it is stored.

    Args:
        source: The file.
        formats: Names of the Pillow formats to try, regardless of the suffix.
        max_pixels: Largest height x width that is decoded.

    Raises:
        InputError: The file is missing, not an image of these formats, damaged or too large.
    """
    with open_source(source) as (file, name):
        yield decode(file, name, formats=formats, max_pixels=max_pixels)


@contextmanager
def open_source(
    source: str | os.PathLike[str] | bytes,
) -> Generator[tuple[BinaryIO, str], None, None]:
    """Open a path or bytes, and return it with its name for error messages.

    Raises:
        InputError: The file is missing, unreadable or not a regular file.
    """
    name = "The image" if isinstance(source, bytes) else printable(source)
    with ExitStack() as stack:
        try:
            file = (
                io.BytesIO(source)
                if isinstance(source, bytes)
                else stack.enter_context(open_regular(source))
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"Cannot open {name}: {reason_of(error)}; give an image file."
            ) from error
        yield file, name


def decode(
    file: BinaryIO,
    name: str,
    *,
    formats: Sequence[str] = tuple(SUFFIXES_OF_FORMAT),
    max_pixels: int = MAX_PIXELS,
    raw_modes: dict[str, str] | None = None,
) -> Image.Image:
    """Decode the first frame of an image file in its own mode.

    Args:
        file: The file, read from its beginning.
        name: What errors call it.
        formats: As `open_picture`.
        max_pixels: As `open_picture`.
        raw_modes: Replacements for Pillow's raw modes, which say how values are stored.

    Raises:
        InputError: As `open_picture`.
    """
    installed = _installed(formats)
    messages: list[str] = []
    try:
        file.seek(0)
        with _pillow_limited_to(max_pixels):
            picture = Image.open(file, formats=installed)
            check_decoding(picture.width, picture.height, name)
            _replace_raw_modes(picture, raw_modes or {})
            if picture.width * picture.height > _PILLOW_LIMIT:
                messages = _load(picture)
        messages += _load(picture)
    except UnidentifiedImageError:
        raise _unidentified(file, name, installed) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large(name, max_pixels) from None
    except InputError:
        raise
    except Exception as error:  # damaged files make decoders raise errors of any type
        raise InputError(f"{name} is damaged or incomplete: {reason_of(error)}.") from error
    if messages:
        _logger.warning("%s is partly damaged (%s); the rest was read.", name, messages[0])
    return picture


def warn_of_further_frames(file: BinaryIO, name: str, *, format: str | None) -> None:
    """Warn that only the first frame or page of a file is read, if it has more."""
    if format not in _COUNTED:
        return
    try:
        file.seek(0)
        with _pillow_limited_to(sys.maxsize), Image.open(file, formats=(format,)) as picture:
            if not getattr(picture, "is_animated", False):
                return
            what = "pages" if picture.format == "TIFF" else "frames"
            count = getattr(picture, "n_frames", 2)
            if picture.format == "TIFF" and _is_overview(picture):
                return
    except Exception:  # damage after the first frame does not matter
        return
    _logger.warning("%s holds %d %s; only the first is read.", name, count, what)


def check_decoding(width: int, height: int, name: str, *, per_pixel: int = _PER_PIXEL) -> None:
    """Refuse an image of a size that takes more memory than allowed to decode.

    Args:
        width: Pixels.
        height: Pixels.
        name: What the error calls it.
        per_pixel: Bytes that a pixel takes.

    Raises:
        InputError: With the figure and what lowers it.
    """
    check_memory(
        width * height * per_pixel, f"{name} of {height} x {width} pixels", "Make it smaller"
    )


def too_large(name: str, max_pixels: int) -> InputError:
    """Build the error for an image `name` of more than `max_pixels` pixels."""
    return InputError(
        f"{name} has more than max_pixels={max_pixels} pixels; make it smaller, or raise "
        "--max-pixels (max_pixels in Python) if you trust it."
    )


def png_bits(file: BinaryIO) -> int | None:
    """Return the bits of a value in a PNG file; None for other files."""
    file.seek(0)
    header = file.read(_PNG_BITS_AT + 1)
    whole = header.startswith(_PNG_START) and len(header) > _PNG_BITS_AT
    return header[_PNG_BITS_AT] if whole else None


def printable(path: str | os.PathLike[str]) -> str:
    """Return a path as text that any stream can write: bytes that are not text are escaped.

    The middle of a very long path is left out.
    """
    text = os.fspath(path).encode("utf-8", "backslashreplace").decode()
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"


def _installed(formats: Sequence[str]) -> list[str]:
    Image.init()
    wanted = list(formats)
    if len(wanted) > 1 and has_heif():
        import pillow_heif  # pyright: ignore[reportMissingImports]

        pillow_heif.register_heif_opener()
        wanted.append("HEIF")
    return [each for each in wanted if each in Image.OPEN]


def _replace_raw_modes(picture: ImageFile, raw_modes: dict[str, str]) -> None:
    if raw_modes:
        picture.tile = [
            each._replace(args=_replaced(each.args, raw_modes)) for each in picture.tile
        ]


def _replaced(arguments: Any, raw_modes: dict[str, str]) -> Any:
    if isinstance(arguments, str):
        return raw_modes.get(arguments, arguments)
    return tuple(raw_modes.get(each, each) if isinstance(each, str) else each for each in arguments)


def _load(picture: ImageFile) -> list[str]:
    """Decode the pixels, and return libtiff's messages."""
    if not any(tile[0] == "libtiff" for tile in picture.tile):
        picture.load()
        return []
    with c_messages_caught() as lines:
        try:
            picture.load()
        except Exception as error:
            failed = error
        else:
            failed = None
    if failed:
        raise failed if not lines else OSError(lines[0]) from failed
    return lines


def _unidentified(file: BinaryIO, name: str, formats: Sequence[str]) -> UnknownKindError:
    file.seek(0)
    start = file.read(START)
    if not start:
        return UnknownKindError(f"{name} is empty, so it is not an image; give an image file.")
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    if brand in _HEIF_BRANDS and not has_heif():
        return UnknownKindError(
            f"{name} is a HEIC image, which needs pillow-heif: pip install 'lhtclip[heif]', or "
            "save it as JPEG."
        )
    if brand in _AVIF_BRANDS and "AVIF" not in formats:
        return UnknownKindError(
            f"{name} is an AVIF image, which this Pillow cannot read: pip install -U pillow, or "
            "save it as JPEG."
        )
    if brand in (*_HEIF_BRANDS, *_AVIF_BRANDS):
        kind = "AVIF" if brand in _AVIF_BRANDS else "HEIC"
        return UnknownKindError(f"{name} is a damaged or unusual {kind} image: save it as JPEG.")
    if kind := named_kind(start):
        return UnknownKindError(f"{name} is {kind[0]}, which is not read: {kind[1]}.")
    return UnknownKindError(
        f"{name} is not an image that can be read; readable: {', '.join(formats)}."
    )


def _is_overview(picture: Image.Image) -> bool:
    picture.seek(1)
    return bool(int(picture.tag_v2.get(_OVERVIEW, 0)))  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def _pillow_limited_to(max_pixels: int) -> Generator[None, None, None]:
    """Make Pillow raise above `max_pixels` and suppress its warnings below.

    The limit and Python's warning filters are global to the process, hence the lock. Images within
    Pillow's own limit are decoded outside of it.
    """
    with _limit_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
