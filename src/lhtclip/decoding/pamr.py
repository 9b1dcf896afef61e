"""PAMR, pixel-adaptive mask refinement: values spread between neighbours of similar colour.

Araslanov and Roth, arXiv 2005.08104; here as NACLIP, ResCLIP and their relatives use
it on logits. It does not know classes: each plane is refined alone, along the edges of an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, is_whole

_SHARPNESS = 0.1  # of the local standard deviation; the published constant
_EPSILON = 1e-8
_DIRECTIONS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))


@dataclass(frozen=True, slots=True)
class PamrSettings:
    """Settings of PAMR; the defaults are NACLIP's.

    Attributes:
        iterations: How often each pixel is replaced by the weighted mean of its neighbours.
        dilations: Distances of the neighbours in pixels; each distance adds eight.
    """

    iterations: int = 10
    dilations: tuple[int, ...] = (8, 16)

    def __post_init__(self) -> None:
        """Refuse what would refine nothing."""
        if not is_whole(self.iterations):
            raise InputError(f"PAMR needs at least 1 iteration, not {self.iterations!r}.")
        dilations = cast("object", self.dilations)
        if not isinstance(dilations, tuple) or not dilations or not all(map(is_whole, dilations)):
            raise InputError(
                f"PAMR needs dilations of at least 1 pixel, such as (8, 16), not "
                f"{self.dilations!r}."
            )

    @property
    def reach(self) -> int:
        """How far away, in rows or columns, a pixel can influence a refined one."""
        return self.iterations * max(self.dilations)


def refine(planes: Tensor, weights: Tensor, settings: PamrSettings) -> Tensor:
    """Replace every pixel by the weighted mean of its neighbours, several times.

    Args:
        planes: (..., Q, height, width), such as logits of prompts. Refining is linear in them.
        weights: The result of `affinity` for these dilations, (..., neighbours, height, width).
        settings: Iterations and dilations.
    """
    for _ in range(settings.iterations):
        mean = torch.zeros_like(planes)
        for neighbour, shifted in enumerate(_neighbours(planes, settings.dilations)):
            mean.addcmul_(shifted, weights[..., neighbour, None, :, :])
        planes = mean
    return planes


def affinity(image: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """Return the weight of each neighbour, by similarity of colour.

    softmax over neighbours of -mean over channels of |difference| / (0.1 standard deviation), the
    deviation over all neighbours and, once per dilation, the pixel itself. Gain and offset of a
    channel cancel, so raw and normalised pixels give the same result.

    Args:
        image: (..., channels, height, width), floating point.
        dilations: Distances of the neighbours, pixels.

    Returns:
        (..., neighbours, height, width), eight per dilation, in [0, 1]; they sum to 1 everywhere.
    """
    total, squares = torch.zeros_like(image), torch.zeros_like(image)
    for shifted in _neighbours(image, dilations):
        difference = shifted - image
        total += difference
        squares.addcmul_(difference, difference)
    samples = (len(_DIRECTIONS) + 1) * len(dilations)  # the pixel itself differs by 0
    variance = (squares - total.square() / samples) / (samples - 1)
    spread = _EPSILON + _SHARPNESS * variance.clamp_min(0).sqrt()
    unlike = [
        ((shifted - image).abs() / spread).mean(dim=-3) for shifted in _neighbours(image, dilations)
    ]
    return torch.stack(unlike, dim=-3).neg_().softmax(dim=-3)


def _neighbours(planes: Tensor, dilations: tuple[int, ...]) -> Iterator[Tensor]:
    """Shift planes by each dilation in the eight directions; edges repeat outwards."""
    height, width = planes.shape[-2:]
    for dilation in dilations:
        flat = planes.reshape(1, -1, height, width)
        padded = F.pad(flat, (dilation,) * 4, mode="replicate").reshape(
            *planes.shape[:-2], height + 2 * dilation, width + 2 * dilation
        )
        for y, x in _DIRECTIONS:
            top, left = dilation * (1 + y), dilation * (1 + x)
            yield padded[..., top : top + height, left : left + width]
