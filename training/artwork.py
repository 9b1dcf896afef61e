"""Loads the three emoji sets as sprites of one size, the same things in the same order."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lhtclip.errors import LhtClipError, unknown
from training.words import THINGS

STYLES: dict[str, str] = {
    "noto": "emoji-datasource-google/img/google/64/{code}.png",
    "twemoji": "emoji-datasource-twitter/img/twitter/64/{code}.png",
    "fluent": "@lobehub/fluent-emoji-3d/assets/{code}.webp",
    "fluent-flat": "@lobehub/fluent-emoji-flat/assets/{code}.svg",
    "emojione": "emojione/assets/png_128x128/{code}.png",
}
"""File of one drawing below a `node_modules` folder, by style."""

INCOMPLETE = ("fluent-flat", "emojione")
"""Styles that do not draw every thing; all others do."""

PACKAGES = (
    "emoji-datasource-google emoji-datasource-twitter @lobehub/fluent-emoji-3d "
    "@lobehub/fluent-emoji-flat emojione@2.2.7"
)
"""The npm packages that hold the drawings; later versions of emojione are not open."""


class ArtworkError(LhtClipError):
    """The emoji drawings are not where they were looked for."""


def load_sprites(root: Path, *, style: str, size: int) -> Tensor:
    """Load one drawing of each thing.

    Args:
        root: the `node_modules` folder that the packages were installed in.
        style: a key of `STYLES`.
        size: side of the square sprites, in pixels.

    Returns:
        uint8 (things, 4, size, size), RGBA with straight alpha, in the order of `THINGS`; all
        transparent where a style of `INCOMPLETE` lacks a thing.

    Raises:
        UnknownNameError: there is no such style.
        ArtworkError: a drawing is missing or unreadable.
    """
    if style not in STYLES:
        raise unknown("style", style, STYLES)
    files = [root / STYLES[style].format(code=thing.code.removesuffix("-fe0f")) for thing in THINGS]
    files = [
        file if file.exists() else file.with_stem(thing.code)
        for file, thing in zip(files, THINGS, strict=True)
    ]
    missing = style in INCOMPLETE and files[0].parent.is_dir()
    sprites = [
        np.zeros((size, size, 4), dtype=np.uint8)
        if missing and not file.exists()
        else fit_sprite(_read_drawing(file), size=size)
        for file in files
    ]
    return torch.from_numpy(np.stack(sprites)).permute(0, 3, 1, 2).contiguous()


def fit_sprite(drawing: Image.Image, *, size: int) -> NDArray[np.uint8]:
    """Crop a drawing to what is visible and centre it in a square that its longer side fills.

    The colours are resampled premultiplied with alpha: else the colour of invisible pixels,
    mostly black, would bleed into the rim.

    Args:
        drawing: an image with at least one pixel that is not fully transparent.
        size: side of the square, in pixels.

    Returns:
        uint8 (size, size, 4), RGBA with straight alpha.
    """
    visible = drawing.convert("RGBA")
    visible = visible.crop(visible.getchannel("A").getbbox())
    scale = size / max(visible.size)
    width, height = (max(1, round(side * scale)) for side in visible.size)
    fitted = visible.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS)
    square = Image.new("RGBa", (size, size))
    square.paste(fitted, ((size - width) // 2, (size - height) // 2))
    return np.asarray(square.convert("RGBA"))


def _read_drawing(path: Path) -> Image.Image:
    """Read one RGBA drawing, or say how to install it."""
    try:
        if path.suffix == ".svg":
            return _draw_svg(path)
        with Image.open(path) as drawing:
            return drawing.convert("RGBA")
    except OSError as error:
        raise ArtworkError(
            f"Cannot read the drawing {path}: run `npm install --ignore-scripts {PACKAGES}` "
            "and give the path of the node_modules folder that it makes."
        ) from error


def _draw_svg(path: Path) -> Image.Image:
    try:
        import resvg_py
    except ImportError as error:
        raise ArtworkError(
            "Drawing SVG artwork needs resvg-py: pip install 'lhtclip[training]'."
        ) from error
    drawn = resvg_py.svg_to_bytes(svg_string=path.read_text(encoding="utf-8"), width=128)
    return Image.open(io.BytesIO(bytes(drawn))).convert("RGBA")
