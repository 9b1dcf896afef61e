"""Convert a PIL image of any mode to upright RGB levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ExifTags import Base as ExifTag
from PIL.Image import Transpose

from lhtclip.errors import InputError
from lhtclip.image.colours import on_white, to_rgb
from lhtclip.image.levels import warn_if_seen_through
from lhtclip.image.settings import PLAIN, ReadingSettings

_FULL_16 = 65535
_STORED = ("1", "L", "LA", "RGB", "RGBA", "RGBX", "RGBa")  # modes whose bands are taken as they are
_TURN_OF_ORIENTATION = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def picture_to_rgb(
    picture: Image.Image, settings: ReadingSettings, *, name: str
) -> npt.NDArray[np.uint8]:
    """Return RGB levels (height, width, 3) as a new array.

    Raises:
        InputError: The mode or the values cannot be converted to RGB.
    """
    picture = upright(picture)
    mode = picture.mode
    if mode == "I" or mode.startswith("I;16"):
        values = np.asarray(picture).astype(np.int32)
        sixteen = bool(np.all((values >= 0) & (values <= _FULL_16)))
        return to_rgb(values[..., None], settings, name=name, full=_FULL_16 if sixteen else None)
    if mode == "F":
        values = np.asarray(picture)
        unit = bool(np.all((values >= 0) & (values <= 1)))
        return to_rgb(values[..., None], settings, name=name, full=1.0 if unit else None)
    try:
        if settings == PLAIN:
            return _as_seen(picture, name)
        transparent = mode in ("P", "PA") or "transparency" in picture.info
        stored = (
            picture
            if mode in _STORED and not transparent
            else picture.convert("RGBA" if transparent else "RGB")
        )
    except ValueError as error:
        raise InputError(
            f"PIL images of mode {mode} cannot be converted to RGB; save it as an RGB image first."
        ) from error
    bands = np.asarray(stored.convert("L") if mode == "1" else stored)
    alpha = stored.mode in ("LA", "RGBA", "RGBa")
    bands = bands.reshape(*bands.shape[:2], -1)
    return to_rgb(bands, settings, name=name, full=255, alpha=alpha)


def upright(picture: Image.Image) -> Image.Image:
    """Rotate or flip an image according to its EXIF orientation."""
    try:
        orientation: object = picture.getexif().get(ExifTag.Orientation, 1)
    except Exception:  # the metadata is broken, the image is not: viewers show it as stored
        return picture
    return turned(picture, orientation)


def turned(picture: Image.Image, orientation: object) -> Image.Image:
    """Rotate or flip an image by an orientation as EXIF and TIFF have it; others leave it alone."""
    turn = _TURN_OF_ORIENTATION.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _as_seen(picture: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """Return the image as a viewer shows it, on white."""
    see_through = picture.mode in ("P", "PA", "LA", "RGBA", "RGBa")
    if not see_through and "transparency" not in picture.info:
        return np.array(picture.convert("RGB"))
    whole = picture.convert("RGBA")
    if picture.mode in ("LA", "RGBA", "RGBa"):
        warn_if_seen_through(np.asarray(whole)[..., 3], name=name)
    return on_white(whole)
