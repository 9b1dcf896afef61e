"""300 damaged image files: each is read or refused in one line, and nothing else is heard of it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image
from tests.soak.damage import FORMATS, damaged, whole_image

EACH = 30


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_images(format: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = whole_image(format)
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
