"""Describe and read TIFF files that Pillow cannot read, or reads wrongly."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin

from lhtclip.errors import InputError, reason_of
from lhtclip.image.opening import check_decoding, too_large
from lhtclip.image.settings import ReadingSettings

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 274
_SAMPLES, _PLANAR, _EXTRA, _FORMAT = 277, 284, 338, 339
_UNSIGNED, _SIGNED = "unsigned integers", "signed integers"
_KINDS = {1: _UNSIGNED, 2: _SIGNED, 3: "floating-point numbers"}
_SEPARATE = 2
_PER_PIXEL = 6  # bytes of the levels that become of the values, and a copy
_WHITE_IS_ZERO, _RGB, _PALETTE = 0, 2, 3  # photometric interpretations


@dataclass(frozen=True, slots=True)
class TiffContent:
    """Content of the first page of a TIFF.

    Attributes:
        width: Pixels.
        height: Pixels.
        bands: Values per pixel.
        bits: Bits per value; the maximum if bands differ.
        kind: Kind of value, in words.
        separate: Whether each band is stored separately.
        colour: Whether the first three bands are tagged as red, green and blue.
        alpha: Whether the last band is tagged as transparency.
        white_is_zero: Whether the smallest value is white.
        palette: Whether values are places in a table of colours.
        orientation: How to turn the image upright, as in EXIF.
    """

    width: int
    height: int
    bands: int
    bits: int
    kind: str
    separate: bool
    colour: bool
    alpha: bool
    white_is_zero: bool
    palette: bool
    orientation: int

    def __str__(self) -> str:
        """Name bands, bits and kind."""
        bands = "1 band" if self.bands == 1 else f"{self.bands} bands"
        return f"{bands} of {self.bits}-bit {self.kind}"

    @property
    def read_by_pillow(self) -> bool:
        """Whether Pillow reads the values correctly, if it reads them at all."""
        return not (self.separate and self.bands > 1 and self.bits > 8)

    @property
    def dtype_of_pillow(self) -> np.dtype[Any] | None:
        """The type of values that Pillow takes for another of the same size, or None."""
        return {
            (8, _SIGNED): np.dtype(np.int8),
            (32, _UNSIGNED): np.dtype(np.uint32),
        }.get((self.bits, self.kind))


def tiff_content(file: BinaryIO) -> TiffContent | None:
    """Describe a file from its tags; None if it is not a TIFF or its tags are broken."""
    file.seek(0)
    header = file.read(16)
    if header[:4] not in _MAGIC:
        return None
    try:
        tags = _directory(header)
        file.seek(tags.next)
        tags.load(cast("io.BytesIO", file))
        formats = _numbers(tags.get(_FORMAT, 1))
        return TiffContent(
            width=int(tags[_WIDTH]),
            height=int(tags[_HEIGHT]),
            bands=int(tags.get(_SAMPLES, 1)),
            bits=max(_numbers(tags.get(_BITS, 1))),
            kind=_KINDS.get(formats[0], "values of an unknown kind"),
            separate=tags.get(_PLANAR, 1) == _SEPARATE,
            colour=tags.get(_PHOTOMETRIC) == _RGB,
            alpha=_numbers(tags.get(_EXTRA, 0))[-1] in (1, 2),
            white_is_zero=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
            palette=tags.get(_PHOTOMETRIC) == _PALETTE,
            orientation=_numbers(tags.get(_ORIENTATION, 1))[0],
        )
    except Exception:  # errors of broken tags have no common base class
        return None


def _directory(header: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Return the directory that a header points to; Pillow knows BigTIFF as little-endian only."""
    big, kind = b"+" in header[2:4], TiffImagePlugin.ImageFileDirectory_v2
    return kind(b"II+\0" + header[4:], prefix=header[:2]) if big else kind(header[:8])


def can_read_values() -> bool:
    """Return whether tifffile is installed."""
    return find_spec("tifffile") is not None


def read_tiff_values(
    file: BinaryIO, content: TiffContent, settings: ReadingSettings, *, name: str, max_pixels: int
) -> npt.NDArray[Any]:
    """Read the values of the first page, of any type, (height, width, bands).

    Raises:
        InputError: tifffile is not installed, the file is damaged or too large, or it does not
            say which of its bands are colours.
    """
    choice = "" if content.bands < 5 or settings.bands else " and --bands to choose three of them"
    if not can_read_values():
        raise InputError(
            f"{name} is a TIFF of {content}, which Pillow cannot read. Install tifffile, "
            f"pip install 'lhtclip[tiff]'{choice}, or save it as 8-bit RGB."
        )
    if content.width * content.height > max_pixels:
        raise too_large(name, max_pixels)
    per_pixel = 2 * content.bands * -(-content.bits // 8) + _PER_PIXEL
    check_decoding(content.width, content.height, f"{name}, {content},", per_pixel=per_pixel)
    return _values(file, content, name)


def _values(file: BinaryIO, content: TiffContent, name: str) -> npt.NDArray[Any]:
    import tifffile

    logging.getLogger("tifffile").disabled = True  # it logs every unusual tag
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            values = np.asarray(tiff.pages[0].asarray())
        if content.separate and content.bands > 1:
            values = np.moveaxis(values, 0, -1)
        if values.size == 0 or values.dtype.kind not in "iuf":
            raise ValueError(f"its values are of type {values.dtype}, shape {values.shape}")
        return values.reshape(content.height, content.width, content.bands)
    except Exception as error:  # damaged files make decoders raise errors of any type
        raise InputError(
            f"{name} is damaged, or an unsupported kind of TIFF: {reason_of(error)}."
        ) from error


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in value) if isinstance(value, tuple) else (int(value),)
