"""Files as damage leaves them: bytes changed, cut, doubled or removed."""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM", "JPEG2000", "AVIF", "LZW")


def whole_image(format: str) -> bytes:
    """Return a small sound file; "LZW" is a TIFF that libtiff decodes."""
    levels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    options = {"compression": "tiff_lzw"} if format == "LZW" else {}
    Image.fromarray(levels).save(file, "TIFF" if format == "LZW" else format, **options)
    return file.getvalue()


def damaged(data: bytes, seed: int) -> bytes:
    """Change bytes, or cut, double or remove a piece; a seed always does the same."""
    chance = random.Random(seed)
    start, stop = sorted(chance.randrange(len(data)) for _ in range(2))
    kind = chance.randrange(4)
    if kind == 0:
        spoilt = bytearray(data)
        for _ in range(chance.randrange(1, 12)):
            spoilt[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(spoilt)
    return (data[:stop], data[:stop] + data[start:], data[:start] + data[stop:])[kind - 1]
