"""300 damaged image files: each is read or refused in one line, and nothing else is heard of it."""

from __future__ import annotations

import io
import random
import warnings

import numpy as np
import pytest
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM", "JPEG2000", "AVIF", "LZW")
EACH = 30


def whole(format: str) -> bytes:
    levels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    options = {"compression": "tiff_lzw"} if format == "LZW" else {}
    Image.fromarray(levels).save(file, "TIFF" if format == "LZW" else format, **options)
    return file.getvalue()


def damaged(data: bytes, seed: int) -> bytes:
    """Change bytes, or cut, double or remove a piece."""
    chance = random.Random(seed)
    start, stop = sorted(chance.randrange(len(data)) for _ in range(2))
    kind = chance.randrange(4)
    if kind == 0:
        spoilt = bytearray(data)
        for _ in range(chance.randrange(1, 12)):
            spoilt[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(spoilt)
    return (data[:stop], data[:stop] + data[start:], data[:start] + data[stop:])[kind - 1]


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_images(format: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = whole(format)
    read = refused = 0
    for seed in range(EACH):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow remarks on odd metadata
            try:
                image = read_image(damaged(data, seed), max_pixels=1 << 20)
            except InputError as error:
                refused += "\n" not in str(error)
            else:
                read += image.dtype == np.uint8 and image.ndim == 3
    assert read + refused == EACH
    assert capfd.readouterr().err == ""
