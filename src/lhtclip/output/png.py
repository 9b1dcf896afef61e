"""Label maps and masks as PNG files that can be viewed, and whose pixel values are the labels.

Labels of uint8 become palette images (the habit of VOC and CVAT), labels of uint16 become 16-bit
greyscale ones, which have no colours but every index.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image.opening import open_picture
from lhtclip.output.palette import palette as default_colours

_IGNORED_COLOUR = (255, 255, 255)


def encode_labels(
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    colours: npt.NDArray[np.uint8] | None = None,
    *,
    palette: bool = True,
) -> bytes:
    """Encode labels (H, W), uint8 or uint16, as a PNG file with these very integers as values.

    Args:
        labels: Class indices.
        colours: The first sRGB colours (n, 3) of the palette; the package's own fill up the rest,
            and 255, the ignored label, is white unless n is 256. Without meaning for uint16.
        palette: Give labels of uint8 a palette; without it they are greyscale, which programs that
            turn palettes into colours read as integers too.

    Raises:
        InputError: Labels of another type or shape, or without pixels.
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

    Palette and 8-bit greyscale files give uint8, 16-bit greyscale files uint16.

    Raises:
        InputError: The file is missing, broken or not of one of these kinds.
    """
    with open_picture(source, formats=("PNG",)) as picture:
        if picture.mode in ("P", "L"):
            return np.array(picture, dtype=np.uint8)
        if picture.mode in ("I", "I;16", "I;16B"):
            return np.array(picture).astype(np.uint16)
        raise InputError(
            "A label map is a palette or greyscale PNG whose values are class indices, got one of "
            f"mode {picture.mode}."
        )


def encode_binary(mask: npt.NDArray[np.bool_]) -> bytes:
    """Encode a mask (H, W) as an 8-bit greyscale PNG file: 255 inside, 0 outside.

    Eight bits rather than one, since that is what annotation tools and pipelines exchange.

    Raises:
        InputError: A mask of another type or shape, or without pixels.
    """
    _check_plane(mask, (np.dtype(np.bool_),), "A mask")
    return encode_picture(Image.fromarray(mask.astype(np.uint8) * 255))


def encode_picture(picture: Image.Image) -> bytes:
    """Encode an image of any mode that PNG has as a PNG file."""
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def _check_plane(plane: npt.NDArray[Any], dtypes: tuple[np.dtype[Any], ...], what: str) -> None:
    if plane.ndim != 2 or plane.size == 0 or plane.dtype not in dtypes:
        allowed = " or ".join(str(dtype) for dtype in dtypes)
        raise InputError(
            f"{what} must be a non-empty (H, W) array of {allowed}, got {plane.dtype} of shape "
            f"{plane.shape}."
        )
