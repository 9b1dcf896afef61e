"""Decode an image file to RGB levels: by Pillow, or by tifffile or raw bytes where Pillow fails."""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image.colours import to_rgb
from lhtclip.image.opening import (
    UnknownKindError,
    check_decoding,
    decode,
    open_source,
    png_bits,
    warn_of_further_frames,
)
from lhtclip.image.picture import picture_to_rgb, turned, upright
from lhtclip.image.settings import ReadingSettings
from lhtclip.image.tiff import TiffContent, read_tiff_values, tiff_content

_FULL_16 = 65535
_PER_DEEP_PIXEL = 32  # bytes of both halves of 16-bit values, and of what becomes of them
_BARE_MODES = ("L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
# In these modes Pillow keeps only the first byte of each 16-bit value. Reading with the opposite
# byte order yields the second.
_NATIVE = {"little": "L", "big": "B"}[sys.byteorder]
_OTHER_END = {"B": "L", "L": "B", "N": "B" if _NATIVE == "L" else "L"}
_SECOND_BYTE = {
    f"{mode};16{end}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX", "RGBa")
    for end, other in _OTHER_END.items()
}


def read_file(
    source: str | os.PathLike[str] | bytes, *, max_pixels: int, settings: ReadingSettings
) -> npt.NDArray[np.uint8]:
    """Read an image file (a path or its bytes) as RGB levels (height, width, 3), upright.

    Raises:
        InputError: The file is missing, damaged, too large or not an image, or its values cannot
            be read as levels.
    """
    with open_source(source) as (file, name):
        content = tiff_content(file)
        if content is not None and content.palette and content.bits > 8:
            raise InputError(
                f"{name} is a TIFF with a palette of {content.bits} bits, and only palettes of up "
                "to 8 bits are read. Save it as 8-bit RGB."
            )
        if content is not None and not content.read_by_pillow:
            return _from_tiff(file, content, settings, name=name, max_pixels=max_pixels)
        try:
            picture = decode(file, name, max_pixels=max_pixels)
        except UnknownKindError:
            if content is None:
                raise
            return _from_tiff(file, content, settings, name=name, max_pixels=max_pixels)
        warn_of_further_frames(file, name, format=picture.format)
        if picture.mode in ("RGB", "RGBA", "RGBX", "RGBa") and _is_deep(file, content):
            values = _sixteen_bits(file, picture, name, max_pixels)
            alpha = picture.mode in ("RGBA", "RGBa")
            return to_rgb(values, settings, name=name, full=_FULL_16, alpha=alpha)
        if content is not None and picture.mode in _BARE_MODES:
            return _from_bare_values(picture, content, settings, name=name)
        return picture_to_rgb(picture, settings, name=name)


def _from_bare_values(
    picture: Image.Image, content: TiffContent, settings: ReadingSettings, *, name: str
) -> npt.NDArray[np.uint8]:
    """Convert a picture whose values Pillow hands out without a look at all that the tags say."""
    dtype = content.dtype_of_pillow
    if dtype is None:
        levels = picture_to_rgb(picture, settings, name=name)
    else:
        values = np.ascontiguousarray(upright(picture)).view(dtype)
        sixteen = bool(np.all((values >= 0) & (values <= _FULL_16)))
        full = _FULL_16 if sixteen and dtype.itemsize > 1 else None
        levels = to_rgb(values[..., None], settings, name=name, full=full)
    inverted = content.white_is_zero and picture.mode != "L"  # which Pillow inverts itself
    return _inverted(levels, settings) if inverted else levels


def _inverted(levels: npt.NDArray[np.uint8], settings: ReadingSettings) -> npt.NDArray[np.uint8]:
    """Make small values white, unless it was said which values are black and white."""
    return levels if settings.limits else 255 - levels


def _from_tiff(
    file: BinaryIO, content: TiffContent, settings: ReadingSettings, *, name: str, max_pixels: int
) -> npt.NDArray[np.uint8]:
    values = read_tiff_values(file, content, settings, name=name, max_pixels=max_pixels)
    full = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): float(_FULL_16)}.get(values.dtype)
    if values.dtype.kind == "f" and bool(np.all((values >= 0) & (values <= 1))):
        full = 1.0
    levels = to_rgb(
        values, settings, name=name, full=full, alpha=content.alpha, colour=content.colour
    )
    levels = _inverted(levels, settings) if content.white_is_zero else levels
    return np.array(turned(Image.fromarray(levels), content.orientation))


def _is_deep(file: BinaryIO, content: TiffContent | None) -> bool:
    """Return whether the file stores several 16-bit bands, which Pillow reduces to 8 bits."""
    if content is not None:
        return content.bits == 16
    return png_bits(file) == 16


def _sixteen_bits(
    file: BinaryIO, first: Image.Image, name: str, max_pixels: int
) -> npt.NDArray[Any]:
    check_decoding(first.width, first.height, name, per_pixel=_PER_DEEP_PIXEL)
    first_bytes = np.asarray(upright(first)).astype(np.uint16)
    try:
        second = decode(file, name, max_pixels=max_pixels, raw_modes=_SECOND_BYTE)
    except InputError:  # this Pillow does not support the order: keep what it reads
        return first_bytes * 257
    return first_bytes * 256 + np.asarray(upright(second))
