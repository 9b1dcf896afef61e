"""One axis of an image: from the patches of all windows to original pixels, as a banded matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Axis:
    """How patches become pixels along one axis.

    Patches are sorted by position, regardless of which window they come from. So overlapping
    windows are interleaved, and each pixel needs only a few consecutive patches.

    Attributes:
        order: For each sorted patch, its index in the concatenated windows, integers (patches,).
        matrix: Weights of the patches, float32 (pixels, patches); each row sums to 1.
        first: For each pixel, the first patch with a weight.
        last: For each pixel, one past the last patch with a weight.
    """

    order: Tensor
    matrix: Tensor
    first: tuple[int, ...]
    last: tuple[int, ...]

    def band(self, pixels: slice) -> slice:
        """Return the range of patches that these pixels need."""
        return slice(min(self.first[pixels]), max(self.last[pixels]))


@lru_cache(maxsize=64)
def plan_axis(
    starts: tuple[int, ...],
    window: int,
    resized: int,
    grid: int,
    original: int,
    part: tuple[int, int] | None = None,
) -> Axis:
    """Return the axis of an image, on the CPU; arguments as for `axis_matrix`."""
    centres = torch.arange(0.5, grid, dtype=torch.float64) * (window / grid)
    order = (torch.tensor(starts)[:, None] + centres).flatten().argsort(stable=True)
    matrix = axis_matrix(starts, window, resized, grid, original, part)[:, order]
    used = (matrix != 0).int()
    first, behind = used.argmax(dim=1), used.flip(1).argmax(dim=1)
    last = (matrix.shape[1] - behind).tolist()
    return Axis(order, matrix, tuple(first.tolist()), tuple(last))


def axis_matrix(
    starts: tuple[int, ...],
    window: int,
    resized: int,
    grid: int,
    original: int,
    part: tuple[int, int] | None = None,
) -> Tensor:
    """Return the matrix from concatenated window patches to original pixels along one axis.

    Args:
        starts: Where windows begin in the resized image, pixels.
        window: Length of a window, pixels.
        resized: Length of the resized image, pixels.
        grid: Patches of a window.
        original: Length of the original image, pixels.
        part: The first pixel and the one behind the last; None for all.

    Returns:
        (original, or of the part, len(starts) * grid) float32; each row sums to 1.
    """
    upsample = bilinear_matrix(grid, window)
    averaged = torch.zeros(resized, len(starts) * grid, dtype=torch.float64)
    for i, start in enumerate(starts):
        averaged[start : start + window, i * grid : (i + 1) * grid] = upsample
    averaged /= averaged.sum(dim=1, keepdim=True)  # every window's row sums to 1: its count
    return resize_rows(averaged, original, part).float()


def bilinear_matrix(source: int, target: int) -> Tensor:
    """Return bilinear resizing along one axis (align_corners=False) as (target, source) float64."""
    return resize_rows(torch.eye(source, dtype=torch.float64), target)


def resize_rows(matrix: Tensor, target: int, part: tuple[int, int] | None = None) -> Tensor:
    """Resize (source, ...) to (target, ...), or a part of it, along its rows, bilinear as above.

    Constant input stays constant to the last bit.
    """
    source = len(matrix)
    places = (torch.arange(*(part or (0, target)), dtype=torch.float64) + 0.5) * (
        source / target
    ) - 0.5
    places = places.clamp(0, source - 1)
    low = places.floor().long()
    high = (low + 1).clamp_max(source - 1)
    weights = (places - low).to(matrix).reshape(-1, *(1,) * (matrix.ndim - 1))
    return torch.lerp(matrix[low], matrix[high], weights)
