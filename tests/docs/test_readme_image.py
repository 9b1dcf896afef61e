"""The legend of the README image has the colours of the label maps, all of them distinct."""

from __future__ import annotations

import numpy as np
from PIL import Image

from docs.readme_image import PATH, drawn
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.output.palette import class_colours

CAPTION, HEIGHT, WIDTH = 48, 336, 448  # of a panel


def test_the_legend_has_the_colours_of_the_labels() -> None:
    check(drawn(bundled_scenes()[16]))


def test_the_image_in_the_repository_has_them_too() -> None:
    with Image.open(PATH) as opened:
        assert opened.mode == "RGB"  # a palette could make one colour of two
        check(opened)
    assert PATH.stat().st_size < 400_000


def check(picture: Image.Image) -> None:
    levels = np.asarray(picture)
    labels = colours(levels[CAPTION : CAPTION + HEIGHT, WIDTH + 12 :]) - {0xFFFFFF}
    known = {int.from_bytes(bytes(each), "big") for each in class_colours(10)}
    assert len(known) == 10
    assert 3 <= len(labels) <= 10
    assert labels <= known
    assert colours(levels[CAPTION + HEIGHT + 20 :], least=300) & known == labels


def colours(levels: np.ndarray, *, least: int = 1) -> set[int]:
    """Colours (0xRRGGBB) of at least so many pixels."""
    packed = levels.astype(np.int64) @ [1 << 16, 1 << 8, 1]
    found, counts = np.unique(packed, return_counts=True)
    return set(found[counts >= least].tolist())
