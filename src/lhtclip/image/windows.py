"""How an image is resized and cut, and where the windows of a sliding-window pass lie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.errors import InputError, is_whole

_AT_ONCE = {"cpu": 8}  # windows, by device type; what more of them write leaves a CPU's caches
_AT_ONCE_ELSEWHERE = 32


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How an image is resized and cut (the shared evaluation protocol's defaults).

    Attributes:
        short_side: Pixels that the shorter side is resized to.
        long_side: Most pixels of the longer side; wins over `short_side`.
        window: Side of a window in pixels; None runs the whole image at once.
        stride: Pixels from one window to the next.
        batch: Most windows in one pass through the tower; None for as many as suit the device.
    """

    short_side: int = 336
    long_side: int = 2048
    window: int | None = 224
    stride: int = 112
    batch: int | None = None

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive, and windows that leave gaps."""
        for name in ("short_side", "long_side", "window", "stride", "batch"):
            value = getattr(self, name)
            optional = name in ("window", "batch")
            if not (is_whole(value) or (value is None and optional)):
                raise InputError(f"{name} must be at least 1 pixel or window, not {value!r}.")
        if self.window is not None:
            check_stride(window=self.window, stride=self.stride)

    def at_once(self, device: str) -> int:
        """Return the most windows in one pass on a device of this type."""
        return self.batch or _AT_ONCE.get(device, _AT_ONCE_ELSEWHERE)


def window_starts(length: int, *, window: int, stride: int) -> tuple[int, ...]:
    """Return where windows begin along one axis, in pixels.

    The last window is shifted inwards to end with the image, so that nothing is padded. A length
    below the window gives one window of that length.
    """
    count = max(length - window + stride - 1, 0) // stride + 1
    return tuple(max(min(i * stride + window, length) - window, 0) for i in range(count))


def check_stride(*, window: int, stride: int) -> None:
    """Refuse a stride that would leave pixels between windows out.

    Raises:
        InputError: The stride is longer than a window.
    """
    if stride > window:
        raise InputError(
            f"A stride of {stride} pixels leaves gaps between windows of {window} pixels; "
            f"choose a stride from 1 to {window}."
        )


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """All windows of an image: a grid of equal rectangles, row by row.

    Attributes:
        height, width: of the resized image, pixels.
        tops, lefts: where rows and columns of windows begin, pixels.
        window_height, window_width: of every window, pixels.
    """

    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    window_height: int
    window_width: int

    @property
    def count(self) -> int:
        """How many windows there are."""
        return len(self.tops) * len(self.lefts)

    def cut(self, pixels: Tensor) -> Tensor:
        """Cut (..., height, width) into (windows, ..., window height, window width)."""
        return torch.stack(
            [
                pixels[..., top : top + self.window_height, left : left + self.window_width]
                for top in self.tops
                for left in self.lefts
            ]
        )


def plan_windows(height: int, width: int, *, window: int | None, stride: int) -> WindowPlan:
    """Lay windows over a resized image.

    Args:
        height: Pixels.
        width: Pixels.
        window: Side of a window in pixels; None for the whole image at once.
        stride: Pixels between windows.

    Raises:
        InputError: The stride is longer than a window, so that pixels would be left out.
    """
    if window is None:
        return WindowPlan(height, width, (0,), (0,), height, width)
    check_stride(window=window, stride=stride)
    return WindowPlan(
        height,
        width,
        window_starts(height, window=window, stride=stride),
        window_starts(width, window=window, stride=stride),
        min(window, height),
        min(window, width),
    )
