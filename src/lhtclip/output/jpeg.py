"""Photographs to look at, as JPEG: far quicker to write than PNG, and far smaller."""

from __future__ import annotations

import io

from PIL import Image

_QUALITY = 90
LONGEST_SIDE = 65_500  # pixels; what libjpeg writes


def encode_photo(picture: Image.Image) -> bytes:
    """Encode an RGB image with full colour resolution, so that thin lines stay sharp."""
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()
