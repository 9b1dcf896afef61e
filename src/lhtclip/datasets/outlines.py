"""COCO's two kinds of outlines, polygons and run lengths, filled to masks.

Run lengths give exactly COCO's own masks. Polygons are filled by a plainer rule than COCO's tools
have, which round the outline to a grid five times as fine; single pixels along it may differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import InputError


def fill_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (height, width) whose middle lies within at least one of the polygons.

    Args:
        polygons: Each as x1, y1, x2, y2, ... in pixels from the upper left corner of the picture.
        size: The picture's height and width.

    Raises:
        InputError: A polygon of fewer than 3 points, or of an odd count of numbers.
    """
    mask = np.zeros(size, dtype=np.bool_)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise InputError(f"A polygon has {len(polygon)} numbers; 6, 8, 10, ... are possible.")
        points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
        left, top = (max(0, math.floor(low)) for low in points.min(axis=0))
        right, bottom = (
            min(limit, math.ceil(high) + 1)
            for limit, high in zip(size[::-1], points.max(axis=0), strict=True)
        )
        if left < right and top < bottom:
            mask[top:bottom, left:right] |= _middles(
                points - (left, top), (bottom - top, right - left)
            )
    return mask


def fill_runs(counts: str | bytes | Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask (height, width) whose columns, one below the other, have these run lengths.

    Args:
        counts: Lengths of runs outside and inside by turns, outside first: numbers, or COCO's
            compressed text.
        size: The mask's height and width.

    Raises:
        InputError: The text is not understood, or the runs do not fill the mask.
    """
    text = counts.encode() if isinstance(counts, str) else counts
    lengths = list(_decompress(text)) if isinstance(text, bytes) else [int(n) for n in text]
    height, width = size
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise InputError(
            f"Its runs cover {sum(lengths)} pixels of a picture of {height} x {width}."
        )
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def _middles(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which middles of the pixels (height, width) lie in a polygon (points, 2).

    Those do that have an odd number of its edges to their left.
    """
    height, width = size
    x, y = points.T
    to_x, to_y = np.roll(points, -1, axis=0).T
    middles = np.arange(height)[:, None] + 0.5
    rows, edges = np.nonzero((y <= middles) != (to_y <= middles))  # those that cross the row
    share = (rows + 0.5 - y[edges]) / (to_y - y)[edges]
    crossings = x[edges] + share * (to_x - x)[edges]
    first = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.intp)  # pixel to the right of it
    turns = np.zeros((height, width + 1), dtype=np.intp)
    np.add.at(turns, (rows, first), 1)
    return np.cumsum(turns, axis=1)[:, :width] % 2 == 1


def _decompress(text: bytes) -> Iterator[int]:
    """Decode COCO's run lengths: 6 bits a character, of which 5 count, low ones first.

    The sixth bit says that more follow, the last one counted is the sign. From the fourth on a
    length is given as the difference to the last but one.
    """
    before: list[int] = [0, 0]
    value = shift = read = 0
    for character in text:
        bits = character - 48  # "0"
        if not 0 <= bits < 64:
            raise InputError(f"Its run lengths hold the character {chr(character)!r}.")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        read += 1
        length = value + (before[0] if read > 3 else 0)
        before = [before[1], length]
        yield length
        value = shift = 0
    if shift:
        raise InputError("Its run lengths end in the middle of a number.")
