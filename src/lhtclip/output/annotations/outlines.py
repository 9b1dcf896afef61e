"""Outlines as text, a million points at once: each number is looked up in a table of texts.

Corners of pixels are whole numbers up to the size of the image, so there are few different ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[Any]


@dataclass(frozen=True, slots=True)
class OutlineWriter:
    """How a format writes the points of an outline, all in ASCII.

    Attributes:
        size: Height and width of the image in pixels.
        x: Writes a place from 0 to the width.
        y: Writes a place from 0 to the height.
        within: What stands between the x and the y of a point.
        between: What stands between points.
    """

    size: tuple[int, ...]
    x: Callable[[float], str]
    y: Callable[[float], str]
    within: str
    between: str

    def __call__(self, outlines: Sequence[Points]) -> list[str]:
        """Write outlines (points, 2): x, y in pixels. Those of whole numbers are quick."""
        whole = [points.dtype.kind == "i" for points in outlines]
        quick = iter(self._look_up([outlines[i] for i, each in enumerate(whole) if each]))
        return [
            next(quick) if is_whole else self._write(points)
            for points, is_whole in zip(outlines, whole, strict=True)
        ]

    def _look_up(self, outlines: Sequence[Points]) -> list[str]:
        if not outlines:
            return []
        points = np.concatenate(outlines)
        ends = np.cumsum([len(each) for each in outlines]) - 1
        height, width = self.size
        rows = [self.y(place) for place in range(height + 1)]
        xs = _words([f"{self.x(place)}{self.within}" for place in range(width + 1)])
        ys = _words([f"{row}{end}" for end in (self.between, "\n") for row in rows])
        row = points[:, 1].copy()
        row[ends] += height + 1  # the last point of an outline ends its line
        texts = np.empty((len(points), len(xs) + len(ys)), dtype=np.uint64)
        for place, column in enumerate(xs):
            texts[:, place] = column[points[:, 0]]
        for place, column in enumerate(ys, start=len(xs)):
            texts[:, place] = column[row]
        return texts.tobytes().translate(None, b"\0").decode("ascii").splitlines()

    def _write(self, points: Points) -> str:
        return self.between.join(f"{self.x(x)}{self.within}{self.y(y)}" for x, y in points.tolist())


def _words(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return texts as columns of eight bytes each, which are looked up faster than bytes are.

    Zeros fill up what is shorter (words of the longest text, texts).
    """
    longest = max(map(len, texts))
    table = np.array([text.encode() for text in texts], dtype=f"S{-(-longest // 8) * 8}")
    return np.ascontiguousarray(table.view(np.uint64).reshape(len(texts), -1).T)


def in_pixels(place: float) -> str:
    """Write a place in pixels, to a hundredth where it is no whole number."""
    return rounded(place, 2)


def rounded(number: float, digits: int) -> str:
    """Write a number with so many digits behind the point at most, and none that says nothing."""
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text
