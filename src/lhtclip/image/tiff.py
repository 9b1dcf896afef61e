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

from lhtclip.errors import InputError
from lhtclip.image.settings import ReadingSettings

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 256, 257, 258, 262
_SAMPLES, _PLANAR, _EXTRA, _FORMAT = 277, 284, 338, 339
_KINDS = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}
_SEPARATE = 2
_RGB = 2
_MOST_BYTES = 4 << 30


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
    """

    width: int
    height: int
    bands: int
    bits: int
    kind: str
    separate: bool
    colour: bool
    alpha: bool

    def __str__(self) -> str:
        """Name bands, bits and kind."""
        bands = "1 band" if self.bands == 1 else f"{self.bands} bands"
        return f"{bands} of {self.bits}-bit {self.kind}"

    @property
    def read_by_pillow(self) -> bool:
        """Whether Pillow reads the values correctly, if it reads them at all."""
        return not (self.separate and self.bands > 1 and self.bits > 8)


def tiff_content(file: BinaryIO) -> TiffContent | None:
    """Describe a file from its tags; None if it is not a TIFF or its tags are broken."""
    file.seek(0)
    header = file.read(16)
    if header[:4] not in _MAGIC:
        return None
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(header[: 16 if header[2:3] in b"+" else 8])
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
        )
    except Exception:  # errors of broken tags have no common base class
        return None


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
        raise InputError(
            f"{name} has more than {max_pixels} pixels; make it smaller, or raise --max-pixels "
            "(max_pixels) if you trust it."
        )
    size = content.width * content.height * content.bands * content.bits // 8
    if size > _MOST_BYTES:
        raise InputError(
            f"{name} holds {size / 1e9:.1f} GB of values, {content}; at most "
            f"{_MOST_BYTES / 1e9:.1f} GB are read. Cut it into tiles first."
        )
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
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"{name} is damaged, or an unsupported kind of TIFF: {reason}.") from error


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in value) if isinstance(value, tuple) else (int(value),)
