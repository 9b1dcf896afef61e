"""Draw a label map over its image, with outlines and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from lhtclip.output.legend_names import legend_names, open_font

_LARGEST_FONT = 96  # pixels; otherwise the legend of a narrow image would be larger than the image
_PAPER, _INK, _LINE = (255, 255, 255), (32, 33, 36), (255, 255, 255)


def draw_classes(
    image: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    colours: npt.NDArray[np.uint8],
    *,
    opacity: float,
) -> Image.Image:
    """Tint the image with the colour of each pixel's class and outline the regions in white.

    Args:
        image: RGB levels (H, W, 3).
        labels: Class indices (H, W); those without a colour leave the image as it is.
        colours: sRGB colours (classes, 3).
        opacity: Weight of the colours over the image, in [0, 1].
    """
    photo = Image.fromarray(image)
    known = labels < len(colours)
    table = np.concatenate([colours, np.zeros((1, 3), dtype=np.uint8)])
    tint = Image.fromarray(table.take(np.minimum(labels, len(colours)), axis=0))
    # The photo's own hues would mix with the tint: green grass under orange reads as yellow.
    pale = Image.blend(photo, photo.convert("L").convert("RGB"), min(1, 1.5 * opacity))
    tinted = Image.composite(Image.blend(pale, tint, opacity), photo, Image.fromarray(known))
    return Image.composite(Image.new("RGB", tinted.size, _LINE), tinted, _outlines(labels))


def draw_labels(
    image: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    names: Sequence[str],
    colours: npt.NDArray[np.uint8],
    *,
    opacity: float = 0.55,
    legend: bool = True,
    font: str | Path | None = None,
) -> Image.Image:
    """Draw labels over their image, with a legend of the classes present, largest share first.

    Args:
        image: RGB levels (H, W, 3).
        labels: Class indices (H, W); those without a colour, such as ignored ones, leave the image
            as it is.
        names: Names of all classes.
        colours: sRGB colours of all classes (classes, 3).
        opacity: Weight of the colours over the image, in [0, 1].
        legend: Add the legend.
        font: As for `add_legend`.

    Raises:
        InputError: The font cannot be read.
    """
    picture = draw_classes(image, labels, colours, opacity=opacity)
    if not legend:
        return picture
    counts = np.bincount(labels.ravel(), minlength=len(names))[: len(names)]
    present = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index] > 0]
    return add_legend(picture, present, names, colours, font=font)


def add_legend(
    picture: Image.Image,
    indices: Sequence[int],
    names: Sequence[str],
    colours: npt.NDArray[np.uint8],
    *,
    font: str | Path | None = None,
) -> Image.Image:
    """Add a legend on white below the image, which is padded if it is narrow.

    Args:
        picture: The image that the legend explains.
        indices: The classes to list, in reading order.
        names: Names of all classes.
        colours: sRGB colours of all classes (classes, 3).
        font: Font file. The default, Pillow's own font, has only ASCII: accents are dropped, and
            names in other scripts become "class 7", with the class index.

    Raises:
        InputError: The font cannot be read.
    """
    size = min(max(13, round((picture.width + picture.height) / 66)), _LARGEST_FONT)
    face = open_font(font, size)
    swatch, gap = round(size * 1.05), round(size * 0.5)
    margin, column_gap, row_height = size, round(size * 1.5), round(size * 1.75)
    texts = legend_names(indices, names, face)
    widths = [swatch + gap + round(face.getlength(text)) for text in texts]
    width = max(picture.width, max(widths, default=0) + 2 * margin)

    places: list[tuple[int, int]] = []
    x, y = margin, 0
    for entry_width in widths:
        if x > margin and x + entry_width > width - margin:
            x, y = margin, y + row_height
        places.append((x, y))
        x += entry_width + column_gap

    top = picture.height + round(size * 0.7)
    sheet = Image.new("RGB", (width, top + y + row_height + round(size * 0.45)), _PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    for (x, y), index, text in zip(places, indices, texts, strict=True):
        middle = top + y + row_height // 2
        box = (x, middle - swatch // 2, x + swatch, middle - swatch // 2 + swatch)
        draw.rounded_rectangle(box, radius=swatch // 5, fill=f"#{bytes(colours[index]).hex()}")
        draw.text((x + swatch + gap, middle), text, fill=_INK, font=face, anchor="lm")
    return sheet


def _outlines(labels: npt.NDArray[np.integer[Any]]) -> Image.Image:
    """Return the coverage (0 to 255) of soft lines between regions, 1/350 of the image wide."""
    edges = np.zeros(labels.shape, dtype=np.bool_)
    edges[:, 1:] = labels[:, 1:] != labels[:, :-1]
    edges[1:] |= labels[1:] != labels[:-1]
    thickness = max(1, round(min(labels.shape) / 350))
    for _ in range(thickness // 2):
        edges = _grown(edges)
    centre = edges.view(np.uint8)
    padded = np.pad(centre, 1)
    beside = padded[1:-1, :-2] + padded[1:-1, 2:] + padded[:-2, 1:-1] + padded[2:, 1:-1]
    return Image.fromarray(np.uint8(155) * centre + np.uint8(25) * beside)


def _grown(edges: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Set all 8 neighbours of set pixels."""
    wide = edges.copy()
    wide[:, 1:] |= edges[:, :-1]
    wide[:, :-1] |= edges[:, 1:]
    grown = wide.copy()
    grown[1:] |= wide[:-1]
    grown[:-1] |= wide[1:]
    return grown
