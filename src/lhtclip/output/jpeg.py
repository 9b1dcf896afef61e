"""Photographs to look at, as JPEG: far quicker to write than PNG, and far smaller."""

from __future__ import annotations

import io

from PIL import Image

_QUALITY = 90
LONGEST_SIDE = 65_500  # pixels; what libjpeg writes


def encode_photo(picture: Image.Image) -> bytes:
    """Encode an RGB picture; colours keep the full resolution, so that thin lines stay clear."""
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()
