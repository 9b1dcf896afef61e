"""How an image is resized and cut into sliding windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice, product

import torch
from torch import Tensor

from lhtclip.errors import InputError, check_kind, is_whole, unknown

RESIZES = ("bilinear", "opencv")
_AT_ONCE = {"cpu": 8}  # windows, by device type; the output of more does not fit a CPU's caches
_AT_ONCE_ELSEWHERE = 32


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How an image is resized and cut (the shared evaluation protocol's defaults).

    Attributes:
        short_side: Length of the shorter side after resizing, in pixels; several lengths encode
            the image at each of them, and average the logits of pixels.
        long_side: Maximum length of the longer side, in pixels; overrides `short_side`.
        window: Side of a window in pixels; None encodes the whole image at once.
        stride: Pixels from one window to the next.
        batch: Maximum windows in one pass; None chooses by device.
        resize: "bilinear", or "opencv" for the fixed-point arithmetic of the published evaluations.
        flip: Encode each window also mirrored left to right, and average. Takes twice the time.
        shifts: Encode windows at this many positions within a patch in each direction, and average;
            1 for the windows alone. Takes up to the square of it times as long.
        joint: Let the windows of an image see each other in the last block. Its attention takes as
            many times as long as there are windows.
    """

    short_side: int | tuple[int, ...] = 336
    long_side: int = 2048
    window: int | None = 224
    stride: int = 112
    batch: int | None = None
    resize: str = "bilinear"
    flip: bool = False
    shifts: int = 1
    joint: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive, and windows that leave gaps."""
        self._check_short_sides()
        for name in ("long_side", "window", "stride", "batch"):
            value = getattr(self, name)
            optional = name in ("window", "batch")
            if not (is_whole(value) or (value is None and optional)):
                raise InputError(f"{name} must be at least 1 pixel or window, not {value!r}.")
        check_kind("resize", self.resize, str)
        if self.resize not in RESIZES:
            raise unknown("resize", self.resize, RESIZES)
        for name in ("flip", "joint"):
            if type(getattr(self, name)) is not bool:
                raise InputError(f"{name} must be True or False, not {getattr(self, name)!r}.")
        if not is_whole(self.shifts):
            raise InputError(f"shifts must be at least 1, not {self.shifts!r}.")
        if self.window is not None:
            check_stride(window=self.window, stride=self.stride)

    def _check_short_sides(self) -> None:
        given = self.short_side
        sides = tuple(given) if isinstance(given, list | tuple) else (given,)
        if not sides or not all(map(is_whole, sides)) or len(set(sides)) < len(sides):
            raise InputError(
                f"short_side must be at least 1 pixel, or different lengths such as (336, 448), "
                f"not {given!r}."
            )
        object.__setattr__(self, "short_side", sides if sides[1:] else sides[0])

    @property
    def short_sides(self) -> tuple[int, ...]:
        """All short sides, one for each scale."""
        return self.short_side if isinstance(self.short_side, tuple) else (self.short_side,)

    def at_once(self, device: str) -> int:
        """Return the maximum number of windows in one pass on this type of device."""
        return self.batch or _AT_ONCE.get(device, _AT_ONCE_ELSEWHERE)


def window_starts(length: int, *, window: int, stride: int) -> tuple[int, ...]:
    """Return where windows start along one axis, in pixels.

    The last window is shifted inwards to end with the image, so nothing is padded. A length below
    the window gives one window of that length.
    """
    count = max(length - window + stride - 1, 0) // stride + 1
    return tuple(max(min(i * stride + window, length) - window, 0) for i in range(count))


def check_stride(*, window: int, stride: int) -> None:
    """Refuse a stride that would skip pixels between windows.

    Raises:
        InputError: The stride is longer than a window.
    """
    if stride > window:
        raise InputError(
            f"A stride of {stride} pixels leaves gaps between windows of {window} pixels; "
            f"choose a stride from 1 to {window}."
        )


def check_shifts(shifts: int, *, patch: int) -> None:
    """Refuse more positions within a patch than it has pixels.

    Raises:
        InputError: There are more.
    """
    if shifts > patch:
        raise InputError(
            f"{shifts} shifts are more than the {patch} pixels along a patch of this model; choose "
            f"from 1 to {patch}, such as 2."
        )


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """All windows of an image: a grid of equal rectangles, row by row.

    Attributes:
        height, width: of the resized image, pixels.
        tops, lefts: where rows and columns of windows begin, pixels.
        window_height, window_width: of every window, pixels.
        resize: How the image gets that size, one of `RESIZES`.
    """

    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    window_height: int
    window_width: int
    resize: str = "bilinear"

    @property
    def count(self) -> int:
        """The number of windows."""
        return len(self.tops) * len(self.lefts)

    def cut(self, pixels: Tensor, some: slice = slice(None)) -> Tensor:
        """Cut (..., height, width) into (windows, ..., window height, window width).

        Args:
            pixels: Of the resized image.
            some: Which of the windows, row by row.
        """
        places = islice(product(self.tops, self.lefts), some.start, some.stop)
        return torch.stack(
            [
                pixels[..., top : top + self.window_height, left : left + self.window_width]
                for top, left in places
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
        InputError: The stride is longer than a window, so pixels would be skipped.
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


def shifted_windows(plan: WindowPlan, *, shifts: int, patch: int) -> WindowPlan:
    """Add windows that begin parts of a patch later, so that patches lie at finer positions.

    Each window is repeated k / shifts of a patch further down and to the right, as far as the image
    reaches, for k below `shifts`. A side that one window fills gets shorter windows for it.

    Args:
        plan: The windows.
        shifts: Positions within a patch in each direction.
        patch: Side of a patch in pixels.
    """
    offsets = sorted({round(k * patch / shifts) for k in range(shifts)})
    tops, height = _shifted(plan.tops, plan.window_height, plan.height, offsets, patch)
    lefts, width = _shifted(plan.lefts, plan.window_width, plan.width, offsets, patch)
    return replace(plan, tops=tops, lefts=lefts, window_height=height, window_width=width)


def _shifted(
    starts: tuple[int, ...], window: int, length: int, offsets: list[int], patch: int
) -> tuple[tuple[int, ...], int]:
    if len(starts) == 1:
        window = max(window - offsets[-1], min(window, patch))
    moved = {min(start + offset, length - window) for start in starts for offset in offsets}
    return tuple(sorted(moved)), window
