"""Lay out images side by side under captions, to compare label maps of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lhtclip.output.overlay import add_legend, draw_classes

_OPACITY = 0.6  # of the colours over the image
_GAP = 12  # pixels between images
_PAPER, _INK = (255, 255, 255), (32, 33, 36)


def compare_maps(
    image: NDArray[np.uint8],
    maps: Mapping[str, NDArray[np.integer[Any]]],
    names: Sequence[str],
    colours: NDArray[np.uint8],
    *,
    caption: str = "image",
) -> Image.Image:
    """Lay out an image and label maps drawn over it in a row, with one legend for all.

    Args:
        image: RGB levels (H, W, 3).
        maps: Class indices (H, W) by caption; those without a colour leave the image as it is.
        names: Names of all classes.
        colours: sRGB colours of all classes (classes, 3).
        caption: Caption of the image itself.
    """
    panels = {caption: Image.fromarray(image)}
    for title, labels in maps.items():
        panels[title] = draw_classes(image, labels, colours, opacity=_OPACITY)
    seen = np.unique(np.concatenate([labels.ravel() for labels in maps.values()]))
    present = [int(label) for label in seen if label < len(colours)]
    return add_legend(side_by_side(panels), present, names, colours)


def side_by_side(panels: Mapping[str, Image.Image], *, height: int = 320) -> Image.Image:
    """Lay images out in a row.

    Args:
        panels: Images by caption.
        height: Height of every scaled image, in pixels.
    """
    size = round(height / 13)
    font = ImageFont.load_default(size=size)
    top = round(1.9 * size)
    scaled = {
        caption: picture.resize((max(1, round(picture.width * height / picture.height)), height))
        for caption, picture in panels.items()
    }
    width = sum(picture.width + _GAP for picture in scaled.values()) - _GAP
    sheet = Image.new("RGB", (width, top + height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    left = 0
    for caption, picture in scaled.items():
        sheet.paste(picture, (left, top))
        middle = (left + picture.width / 2, top / 2)
        draw.text(middle, caption, fill=_INK, font=font, anchor="mm")
        left += picture.width + _GAP
    return sheet
