"""Building blocks of the painters of materials: noise, directions, pebbles, colours.

Sizes are in pixels; values are about -1 to 1 unless said otherwise.
"""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.floating[Any]]
"""Floating point (H, W), or (H, W, 3) for colours in [0, 1]."""
Picture = NDArray[np.uint8]
Colour = tuple[float, float, float]


def noise(
    generator: np.random.Generator, height: int, width: int, cell: tuple[float, float]
) -> Field:
    """Draw smooth noise of about unit spread whose bumps are `cell` (rows, columns) pixels big."""
    rows, columns = (int(side / size) + 4 for side, size in zip((height, width), cell, strict=True))
    coarse = Image.fromarray(generator.standard_normal((rows, columns), np.float32))
    top, left = generator.uniform(1, 2, 2)
    window = (left, top, left + width / cell[1], top + height / cell[0])
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC, box=window))


def speckle(generator: np.random.Generator, height: int, width: int) -> Field:
    """Draw independent noise of unit spread for every pixel."""
    return generator.standard_normal((height, width), np.float32)


def axes(
    generator: np.random.Generator, height: int, width: int, angle: float
) -> tuple[Field, Field]:
    """Return the pixel coordinates (across, down) turned by `angle` radians, at a random origin."""
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    right, down = generator.uniform(0, 1000, 2).astype(np.float32)
    return x * cosine - y * sine + right, x * sine + y * cosine + down


def rim(position: Field) -> Field:
    """Return the distance to the nearest whole number, 0 to 0.5."""
    return np.abs(position - np.round(position))


def hashed(first: Field, second: Field) -> Field:
    """Return a number in [-1, 1] that looks random, the same for the same pair of whole numbers."""
    mixed = np.sin(first * 12.9898 + second * 78.233) * 437.58
    return 2 * (mixed - np.floor(mixed)) - 1


def pebbles(
    generator: np.random.Generator, height: int, width: int, size: float, *, warp: float = 0.0
) -> tuple[Field, Field, Field, Field]:
    """Divide the plane into cells of about `size` pixels around jittered points (Voronoi).

    Returns:
        Four fields (height, width): the distance to the nearest point, how much farther the
        second nearest is (0 on the joints), a tone in [-1, 1] of the cell, and how far below its
        point the pixel lies; distances in units of `size`.
    """
    rows, columns = int(height / size) + 4, int(width / size) + 4
    shifts = generator.uniform(0.1, 0.9, (2, rows, columns)).astype(np.float32)
    tones = generator.uniform(-1, 1, (rows, columns)).astype(np.float32)
    y = np.arange(height, dtype=np.float32)[:, None] / np.float32(size) + 1.5
    x = np.arange(width, dtype=np.float32) / np.float32(size) + 1.5
    if warp:
        y = y + warp * noise(generator, height, width, (size / 2, size / 2)).clip(-1, 1)
        x = x + warp * noise(generator, height, width, (size / 2, size / 2)).clip(-1, 1)
    row, column = np.broadcast_arrays(y.astype(np.intp), x.astype(np.intp))
    nearest = np.full((height, width), np.inf, np.float32)
    second, tone, lift = nearest.copy(), np.zeros_like(nearest), np.zeros_like(nearest)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            cell = (row + i) * columns + column + j
            down = y - (row + i) - shifts[0].take(cell)
            right = x - (column + j) - shifts[1].take(cell)
            distance = down * down + right * right
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            tone = np.where(closer, tones.take(cell), tone)
            lift = np.where(closer, down, lift)
            nearest = np.minimum(nearest, distance)
    nearest = np.sqrt(nearest)
    return nearest, np.sqrt(second) - nearest, tone, lift


def ramp(value: Field) -> Field:
    """Map [-1, 1] linearly to [0, 1] and clip what lies outside."""
    return np.clip(0.5 + 0.5 * value, 0, 1)


def step(value: Field, low: float, high: float) -> Field:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def mix(first: Field | Colour, second: Field | Colour, share: Field) -> Field:
    """Go from the first colour at share 0 to the second at share 1."""
    start = np.asarray(first, np.float32)
    return start + (np.asarray(second, np.float32) - start) * share[..., None].astype(np.float32)


def tint(generator: np.random.Generator, hsv: Colour) -> Colour:
    """Shift hue, saturation and value a little and return the colour as RGB."""
    hue, saturation, value = np.asarray(hsv) + generator.uniform(-1, 1, 3) * (0.015, 0.07, 0.06)
    return colorsys.hsv_to_rgb(hue % 1, np.clip(saturation, 0, 1), np.clip(value, 0, 1))


def two_colours(generator: np.random.Generator) -> tuple[Colour, Colour]:
    """Draw a pale and a strong colour of any hues."""
    hue = generator.random()
    pale = tint(generator, (generator.random(), generator.uniform(0.05, 0.4), 0.93))
    return pale, tint(generator, (hue, generator.uniform(0.5, 0.85), generator.uniform(0.35, 0.8)))


def finish(generator: np.random.Generator, colours: Field, *, strength: float = 1.0) -> Picture:
    """Light the image unevenly and round it to uint8."""
    height, width, _ = colours.shape
    x, _ = axes(generator, height, width, generator.uniform(0, 2 * np.pi))
    slope = (x - x.mean()) / max(height, width)
    glow = noise(generator, height, width, (0.6 * height, 0.6 * width))
    light = 1 + strength * (
        generator.normal(0, 0.06) + generator.uniform(0, 0.35) * slope + 0.06 * glow
    )
    return (np.clip(colours * light[..., None], 0, 1) * 255 + 0.5).astype(np.uint8)
