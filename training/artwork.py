"""Load the artwork styles as sprites of one size, with the same things in the same order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lhtclip.errors import unknown
from training.icons import draw_icon
from training.words import THINGS, Thing

STYLES: dict[str, str] = {
    "noto": "noto",
    "noto-v1": "noto-v1",
    "fxemoji": "fxemoji",
    "fluent": "fluent-emoji",
    "fluent-flat": "fluent-emoji-flat",
    "emojione": "emojione",
    "emojione-v1": "emojione-v1",
    "openmoji": "openmoji",
    "twemoji": "twemoji",
    "streamline": "streamline-emojis",
}
"""The package of `@iconify-json` that holds a style."""


def load_sprites(root: Path, *, style: str, size: int) -> Tensor:
    """Load one drawing of each thing; rendered once, then read from a file next to the packages.

    Args:
        root: The `node_modules` folder that the packages were installed in.
        style: A key of `STYLES`.
        size: Side of the square sprites, in pixels.

    Returns:
        uint8 (things, 4, size, size), RGBA with straight alpha, in the order of `THINGS`; all
        transparent where the style lacks a thing.

    Raises:
        UnknownNameError: There is no such style.
        ArtworkError: The artwork is missing or unreadable.
    """
    if style not in STYLES:
        raise unknown("style", style, STYLES)
    kept = root / ".sprites" / f"{style}-{size}.npy"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        np.save(kept, np.stack([_sprite(root, style, thing, size) for thing in THINGS]))
    sprites = np.load(kept)
    return torch.from_numpy(sprites).permute(0, 3, 1, 2).contiguous()


def fit_sprite(drawing: Image.Image, *, size: int) -> NDArray[np.uint8]:
    """Crop a drawing to what is visible and centre it in a square that its longer side fills.

    Colours are resampled premultiplied with alpha; otherwise the colour of invisible pixels, mostly
    black, would bleed into the rim.

    Args:
        drawing: An image with at least one pixel that is not fully transparent.
        size: Side of the square, in pixels.

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


def _sprite(root: Path, style: str, thing: Thing, size: int) -> NDArray[np.uint8]:
    drawing = draw_icon(root / "@iconify-json", STYLES[style], thing)
    if drawing is None:
        return np.zeros((size, size, 4), dtype=np.uint8)
    return fit_sprite(drawing, size=size)
