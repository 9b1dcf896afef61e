"""Choose the bands that become red, green and blue, scale them, and apply transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image.levels import to_levels, warn_if_seen_through
from lhtclip.image.settings import ReadingSettings


def to_rgb(
    values: npt.NDArray[Any],
    settings: ReadingSettings,
    *,
    name: str,
    full: float | None,
    alpha: bool = False,
    colour: bool = True,
) -> npt.NDArray[np.uint8]:
    """Return RGB levels (height, width, 3) as a new array.

    Args:
        values: (height, width, bands).
        settings: Which bands, which range, what to do with alpha.
        name: What warnings and errors call the image.
        full: As for `to_levels`.
        alpha: Whether the last band is transparency, unless bands are chosen.
        colour: Whether the first three of several bands are red, green and blue.

    Raises:
        InputError: A band does not exist, the choice of bands is ambiguous, or the values cannot
            be scaled.
    """
    bands = values.shape[-1]
    if settings.places is not None:
        chosen = values[..., _existing(settings.places, bands, name)]
        return _three(to_levels(chosen, settings, name=name, full=full))
    colours = 1 if bands < 3 else 3
    if bands > 4 or (bands > 1 and not colour and not alpha):
        raise InputError(
            f"{name} has {bands} bands. Name those for red, green and blue, such as --bands 3,2,1, "
            "or a single one to show in grey, such as --bands 1 (in Python "
            "ReadingSettings(bands=...))."
        )
    levels = _three(to_levels(values[..., :colours], settings, name=name, full=full))
    if not alpha or settings.alpha == "ignore":
        return levels
    seen = _alpha_levels(values[..., -1], full)
    warn_if_seen_through(seen, name=name)
    return on_white(Image.fromarray(np.dstack([levels, seen])))


def on_white(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Composite an RGBA image onto white."""
    white = Image.new("RGBA", picture.size, "white")
    return np.array(Image.alpha_composite(white, picture).convert("RGB"))


def _existing(places: tuple[int, ...], bands: int, name: str) -> list[int]:
    if max(places) >= bands:
        raise InputError(f"{name} has bands 1 to {bands}; there is no band {max(places) + 1}.")
    return list(places)


def _three(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.array(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _alpha_levels(alpha: npt.NDArray[Any], full: float | None) -> npt.NDArray[np.uint8]:
    if alpha.dtype == np.uint8:
        return alpha
    scale = full or (np.iinfo(alpha.dtype).max if np.issubdtype(alpha.dtype, np.integer) else 1)
    return np.clip(np.rint(alpha * (255 / scale)), 0, 255).astype(np.uint8)
