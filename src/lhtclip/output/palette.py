"""Colours for class indices: an index always has the same colour.

The first twenty were computed, each as far as possible in OKLab from all before it, for normal,
protanopic and deuteranopic vision (Machado et al. 2009). Lightness counts less than hue, because an
overlay takes its lightness from the image. The first eight are pairwise distinct for all three
kinds of vision; with more classes, the outlines and the legend help. From index 20 on, hues step
by the golden angle, so that neighbours are 137 degrees apart, and dark alternates with light.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_PICKED = (
    "1f77d0 f0a30a 0b8a68 ee84bd cd4805 814a8d d5dc2c 58c4ff 8ceaa6 a287fe "
    "959f5d 2dedef eba293 8f4f3e 1988a3 d54563 5c52b4 f27700 7c87c9 d7c477"
)
_BACKGROUND = (64, 64, 64)
_GOLDEN_ANGLE = np.pi * (3 - 5**0.5)
# Two irrational steps, from the plastic number, that fill the square evenly: lightness and chroma.
_LIGHTNESS_STEP, _CHROMA_STEP = 0.7548776662466927, 0.5698402909980532


def palette(count: int) -> npt.NDArray[np.uint8]:
    """Return the colours of the indices 0 to count - 1 as sRGB levels (count, 3).

    A longer palette starts with the shorter one. The first 256 colours are all different.
    """
    picked = np.frombuffer(bytes.fromhex(_PICKED), dtype=np.uint8).reshape(-1, 3)
    ruled = _ruled_colours(np.arange(len(picked), max(count, len(picked))))
    return np.concatenate([picked, ruled])[:count]


def class_colours(classes: int, *, background: int | None = None) -> npt.NDArray[np.uint8]:
    """Return the sRGB colours (classes, 3) of classes; the background is dark grey."""
    colours = palette(classes)
    if background is not None:
        colours[background] = _BACKGROUND
    return colours


def _ruled_colours(indices: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Return the colours (n, 3) that the rule gives to `indices`."""
    hue = indices * _GOLDEN_ANGLE
    lift = indices * _LIGHTNESS_STEP % 1
    lightness = np.where(indices % 2 == 0, 0.48 + 0.14 * lift, 0.70 + 0.16 * lift)
    chroma = 0.09 + 0.06 * (indices * _CHROMA_STEP % 1)
    return _srgb(lightness, chroma * np.cos(hue), chroma * np.sin(hue))


def _srgb(
    lightness: npt.NDArray[np.floating], a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Convert OKLab (Ottosson, 2020) to sRGB levels, clipped to the gamut."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    linear = np.clip(np.stack([red, green, blue], axis=-1), 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(curved * 255).astype(np.uint8)
