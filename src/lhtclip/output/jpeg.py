"""Encode images for viewing as JPEG, which is much faster to write than PNG, and smaller."""

from __future__ import annotations

import io

from PIL import Image

_QUALITY = 90
LONGEST_SIDE = 65_500  # pixels; the limit of libjpeg


def encode_photo(picture: Image.Image) -> bytes:
    """Encode an RGB image with full colour resolution, so that thin lines stay sharp."""
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()
