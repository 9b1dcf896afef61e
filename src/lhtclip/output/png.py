"""Label maps and masks as viewable PNG files whose pixel values are the labels.

uint8 labels become palette images, as in VOC and CVAT. uint16 labels become 16-bit greyscale
images, which have no colours but can hold every index.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image.opening import decode, open_source, png_bits
from lhtclip.output.palette import palette as default_colours

_IGNORED_COLOUR = (255, 255, 255)
_SIGNATURE, _END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"


def encode_labels(
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    colours: npt.NDArray[np.uint8] | None = None,
    *,
    palette: bool = True,
) -> bytes:
    """Encode labels (H, W), uint8 or uint16, as a PNG file whose pixel values are the labels.

    Args:
        labels: Class indices.
        colours: The first sRGB colours (n, 3) of the palette; the package's own colours follow,
            and 255, the ignored label, is white unless n is 256. No effect on uint16.
        palette: Whether uint8 labels get a palette; without one they are greyscale, for programs
            that would convert palettes to colours.

    Raises:
        InputError: The labels have another type or shape, or no pixels.
    """
    _check_plane(labels, (np.dtype(np.uint8), np.dtype(np.uint16)), "Labels")
    picture = Image.fromarray(labels)
    if palette and labels.dtype == np.uint8:
        table = default_colours(256)
        table[255] = _IGNORED_COLOUR
        if colours is not None:
            table[: len(colours)] = colours[:256]
        picture.putpalette(table.tobytes())
    return encode_picture(picture)


def decode_labels(source: str | Path | bytes) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Read the labels (H, W) of a PNG file, given as a path or as its bytes.

    The labels are the values as they are stored: 16-bit greyscale files give uint16, others uint8.

    Raises:
        InputError: The file is missing, broken or of another kind.
    """
    with open_source(source) as (file, name):
        picture = decode(file, name, formats=("PNG",))
        if picture.mode in ("1", "P"):
            return np.array(picture, dtype=np.uint8)
        if picture.mode == "L":  # from which fewer bits are spread over 0 to 255
            return np.array(picture) // (255 // (2 ** (png_bits(file) or 8) - 1))
        if picture.mode in ("I", "I;16", "I;16B"):
            return np.array(picture).astype(np.uint16)
        raise InputError(
            f"{name} has {picture.mode} colours; a label map is a palette or greyscale PNG whose "
            "values are class indices."
        )


def is_binary(masks: Iterable[Path], ignored: int) -> bool:
    """Whether masks have no values but 0 and the ignored one, which then stands for a thing.

    The first mask mostly has others, so few are read. A broken one is reported where it is used.
    """
    marked = False
    for mask in masks:
        try:
            ids = decode_labels(mask)
        except InputError:
            return False
        if bool(((ids != 0) & (ids != ignored)).any()):
            return False
        marked |= bool((ids == ignored).any())
    return marked


def encode_binary(mask: npt.NDArray[np.bool_]) -> bytes:
    """Encode a mask (H, W) as an 8-bit greyscale PNG file: 255 inside, 0 outside.

    Annotation tools and pipelines exchange 8-bit masks rather than 1-bit ones.

    Raises:
        InputError: The mask has another type or shape, or no pixels.
    """
    _check_plane(mask, (np.dtype(np.bool_),), "A mask")
    rows = np.zeros((mask.shape[0], mask.shape[1] + 1), dtype=np.uint8)
    np.multiply(mask, 255, out=rows[:, 1:], casting="unsafe", dtype=np.uint8)
    return _png(rows, width=mask.shape[1], bits=8)


def encode_bits(mask: npt.NDArray[np.bool_]) -> bytes:
    """Encode a mask (H, W) as a black and white PNG file of one bit a pixel, white inside.

    Raises:
        InputError: The mask has another type or shape, or no pixels.
    """
    _check_plane(mask, (np.dtype(np.bool_),), "A mask")
    bits = np.packbits(mask, axis=1)
    rows = np.zeros((mask.shape[0], bits.shape[1] + 1), dtype=np.uint8)
    rows[:, 1:] = bits
    return _png(rows, width=mask.shape[1], bits=1)


def encode_picture(picture: Image.Image) -> bytes:
    """Encode an image of any mode that PNG supports."""
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def _png(rows: npt.NDArray[np.uint8], *, width: int, bits: int) -> bytes:
    """Write a greyscale PNG file whose rows begin with the byte 0, which stands for "no filter".

    Masks are long runs: looking for runs alone takes a fifth of the time of Pillow's encoder, which
    tries every filter, for files of the same size.
    """
    size = struct.pack(">IIBBBBB", width, len(rows), bits, 0, 0, 0, 0)
    packer = zlib.compressobj(strategy=zlib.Z_RLE)
    data = packer.compress(rows.data) + packer.flush()
    return _SIGNATURE + _chunk(b"IHDR" + size) + _chunk(b"IDAT" + data) + _END


def _chunk(content: bytes) -> bytes:
    """Frame the kind and the content of a chunk with its length and its checksum."""
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def _check_plane(plane: npt.NDArray[Any], dtypes: tuple[np.dtype[Any], ...], what: str) -> None:
    if plane.ndim != 2 or plane.size == 0 or plane.dtype not in dtypes:
        allowed = " or ".join(str(dtype) for dtype in dtypes)
        raise InputError(
            f"{what} must be a non-empty (H, W) array of {allowed}, got {plane.dtype} of shape "
            f"{plane.shape}."
        )
