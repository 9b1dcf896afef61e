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
from lhtclip.image.opening import UnknownKindError, decode, open_source, warn_of_further_frames
from lhtclip.image.picture import picture_to_rgb, upright
from lhtclip.image.settings import ReadingSettings
from lhtclip.image.tiff import TiffContent, read_tiff_values, tiff_content

_PNG_START, _PNG_DEPTH_AT = b"\x89PNG\r\n\x1a\n", 24
_FULL_16 = 65535
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
        return picture_to_rgb(picture, settings, name=name)


def _from_tiff(
    file: BinaryIO, content: TiffContent, settings: ReadingSettings, *, name: str, max_pixels: int
) -> npt.NDArray[np.uint8]:
    values = read_tiff_values(file, content, settings, name=name, max_pixels=max_pixels)
    full = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): float(_FULL_16)}.get(values.dtype)
    return to_rgb(
        values, settings, name=name, full=full, alpha=content.alpha, colour=content.colour
    )


def _is_deep(file: BinaryIO, content: TiffContent | None) -> bool:
    """Return whether the file stores several 16-bit bands, which Pillow reduces to 8 bits."""
    if content is not None:
        return content.bits == 16
    file.seek(0)
    header = file.read(_PNG_DEPTH_AT + 1)
    return header.startswith(_PNG_START) and header[-1] == 16


def _sixteen_bits(
    file: BinaryIO, first: Image.Image, name: str, max_pixels: int
) -> npt.NDArray[Any]:
    first_bytes = np.asarray(upright(first)).astype(np.uint16)
    try:
        second = decode(file, name, max_pixels=max_pixels, raw_modes=_SECOND_BYTE)
    except InputError:  # this Pillow does not support the order: keep what it reads
        return first_bytes * 257
    return first_bytes * 256 + np.asarray(upright(second))
