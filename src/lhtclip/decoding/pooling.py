"""Average pooling of full-size values without making them: pooled logits, and the pooled image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lhtclip.decoding.interpolation import axis_matrix, resize_rows
from lhtclip.image.windows import WindowPlan

_FLOATS = 1 << 21  # of a matrix of full-size rows, made at once


def pooled_logits(
    logits: Tensor, plan: WindowPlan, size: tuple[int, int], step: tuple[int, int]
) -> Tensor:
    """Return the means of full-size logits over blocks; incomplete blocks at the end are dropped.

    Upsampling, averaging over windows, resizing and pooling are linear and separable, so each axis
    is one small matrix.

    Args:
        logits: (window rows, window columns, grid rows, grid columns, Q).
        plan: Where those windows are in the resized image.
        size: Height and width of the original image in pixels.
        step: Height and width of a block in pixels.

    Returns:
        (Q, height // step, width // step).
    """
    sides = (
        (plan.tops, plan.window_height, plan.height, logits.shape[2], size[0]),
        (plan.lefts, plan.window_width, plan.width, logits.shape[3], size[1]),
    )
    down, across = (
        _pooled(lambda part, side=side: axis_matrix(*side, part=part), side[4], each).to(logits)
        for side, each in zip(sides, step, strict=True)
    )
    stacked = logits.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)
    return down @ stacked @ across.T


def pooled_image(image: Tensor, size: tuple[int, int], step: tuple[int, int]) -> Tensor:
    """Return the means over blocks of an image that is resized bilinearly to a size.

    Args:
        image: (channels, height, width).
        size: Height and width after resizing, in pixels.
        step: Height and width of a block in pixels.

    Returns:
        (channels, size[0] // step[0], size[1] // step[1]).
    """
    down, across = (
        _pooled(
            lambda part, rows=rows, length=length: resize_rows(rows, length, part), length, each
        ).to(image)
        for rows, length, each in zip(map(torch.eye, image.shape[1:]), size, step, strict=True)
    )
    return down @ image @ across.T


def _pooled(rows: Callable[[tuple[int, int]], Tensor], length: int, step: int) -> Tensor:
    """Average blocks of rows of a matrix with `length` rows, of which a part is made at once."""
    blocks = length // step
    at_once = max(1, _FLOATS // (step * rows((0, 1)).shape[1]))
    parts: list[Tensor] = []
    for first in range(0, blocks, at_once):
        count = min(at_once, blocks - first)
        made = rows((first * step, (first + count) * step))
        parts.append(made.unflatten(0, (count, step)).mean(dim=1))
    return torch.cat(parts)
