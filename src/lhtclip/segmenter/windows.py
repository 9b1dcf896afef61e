"""An image and its windows on the way to the image tower, and their embeddings on the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from lhtclip.image.pixels import resized_shape, to_pixels
from lhtclip.image.windows import (
    WindowPlan,
    WindowSettings,
    plan_windows,
    shifted_windows,
)


class HasWindows(Protocol):
    """An image and where its windows lie: before the tower or after it."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB levels (height, width, 3)."""
        ...

    @property
    def plan(self) -> WindowPlan:
        """Where its windows lie."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PlannedImage:
    """An image (height, width, 3) and where its windows will lie."""

    image: NDArray[np.uint8]
    plan: WindowPlan

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of its windows."""
        return self.plan.window_height, self.plan.window_width


def plan_scales(
    image: NDArray[np.uint8], settings: WindowSettings, *, patch: int
) -> list[PlannedImage]:
    """Decide how an image is resized and cut at each short side.

    Args:
        image: RGB levels (height, width, 3).
        settings: How.
        patch: Side of a patch in pixels; even a thin image fills one.
    """
    return [
        _plan_at(image, short_side, settings, patch=patch) for short_side in settings.short_sides
    ]


def _plan_at(
    image: NDArray[np.uint8], short_side: int, settings: WindowSettings, *, patch: int
) -> PlannedImage:
    height, width = resized_shape(
        *image.shape[:2], short_side=short_side, long_side=settings.long_side
    )
    window = settings.window and max(settings.window, patch)
    plan = plan_windows(
        max(height, patch), max(width, patch), window=window, stride=settings.stride
    )
    if settings.shifts > 1:
        plan = shifted_windows(plan, shifts=settings.shifts, patch=patch)
    return PlannedImage(image, replace(plan, resize=settings.resize))


def windows_of(planned: HasWindows, checkpoint: Checkpoint, *, most: int) -> Iterator[Tensor]:
    """Resize, normalise and cut an image for a model, part by part.

    Yields (windows, 3, height, width), at most `most` windows at once.
    """
    plan = planned.plan
    pixels = checkpoint.to_pixels(planned.image, (plan.height, plan.width), resize=plan.resize)
    for start in range(0, plan.count, most):
        yield plan.cut(pixels, slice(start, start + most))


def joined(parts: Iterable[Tensor], count: int) -> Tensor:
    """Join parts (some, ...) to (count, ...), each of them freed as soon as it is copied."""
    whole: Tensor | None = None
    start = 0
    for part in parts:
        if len(part) == count:
            return part
        if whole is None:
            whole = part.new_empty(count, *part.shape[1:])
        whole[start : start + len(part)] = part
        start += len(part)
    if whole is None:
        raise ValueError("There is nothing to join.")
    return whole


def resized_levels(planned: HasWindows, device: torch.device) -> Tensor:
    """Return the resized image (3, plan.height, plan.width), whose edges PAMR follows."""
    plan = planned.plan
    return to_pixels(
        planned.image,
        (plan.height, plan.width),
        mean=CLIP_MEAN,
        std=CLIP_STD,
        device=device,
        resize=plan.resize,
    )


def in_rows(embeddings: Tensor, plan: WindowPlan) -> Tensor:
    """Turn (windows, rows, columns, E) into (window rows, window columns, rows, columns, E)."""
    return embeddings.unflatten(0, (len(plan.tops), len(plan.lefts)))
