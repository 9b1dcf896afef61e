"""Position embeddings for any grid of patches."""

from __future__ import annotations

import torch
from torch import Tensor

_SHARPNESS = -0.75  # parameter a of the cubic kernel, the usual choice for images


def positions_for_grid(table: Tensor, grid: tuple[int, int], *, class_tokens: int = 1) -> Tensor:
    """Resize a trained position table to another grid; keeps the class token's row.

    Bicubic in float32 with the scale (n + 0.1) / g in each direction, as in the published
    evaluation code; the scale also determines the source coordinates. The trained grid gets the
    table itself; a grid with as many patches but another shape does not.

    Args:
        table: (class tokens + g * g, width), the class token's row first.
        grid: Rows and columns of patches.
        class_tokens: Rows before those of the patches: 1 for CLIP, 0 for SigLIP.

    Returns:
        (class tokens + rows * columns, width) in the dtype of the table.
    """
    side = round((table.shape[0] - class_tokens) ** 0.5)
    rows, columns = grid
    if (rows, columns) == (side, side):
        return table
    # When exporting with a dynamic grid this branch is traced, so it must handle the trained grid.
    device = table.device
    trained = (torch.full((), rows, device=device) == side) & (
        torch.full((), columns, device=device) == side
    )
    down, across = (_axis(side, length, unchanged=trained) for length in grid)
    image = table[class_tokens:].float().unflatten(0, (side, side))  # (g, g, width)
    patches = across @ (down @ image.flatten(1)).unflatten(1, (side, -1))
    return torch.cat([table[:class_tokens], patches.flatten(0, 1).to(table.dtype)])


def _axis(source: int, target: int, *, unchanged: Tensor) -> Tensor:
    """Bicubic resizing along one axis, (target, source) float32; borders are repeated."""
    device = unchanged.device
    at, among = torch.arange(target, device=device), torch.arange(source, device=device)
    places = (at + 0.5) * (source / (target + 0.1)) - 0.5
    nearest = places.floor()[:, None] + torch.arange(-1, 3, device=device)  # (target, 4)
    weights = _cubic((places[:, None] - nearest).abs())
    index = nearest.clamp(0, source - 1)
    matrix = ((index[..., None] == among) * weights[..., None]).sum(dim=1)
    return torch.where(unchanged, (at[:, None] == among).float(), matrix)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel at distances from 0 to 2."""
    a = _SHARPNESS
    near = ((a + 2) * distance - (a + 3)) * distance.square() + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return torch.where(distance <= 1, near, far)
