"""Position embeddings for any grid of patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

_SHARPNESS = -0.75  # parameter a of the cubic kernel, the usual choice for images
_SHARPNESS_ANTIALIASED = -0.5  # its value in antialiased resizing, as in Pillow
BICUBIC = "bicubic"


def positions_for_grid(
    table: Tensor, grid: tuple[int, int], *, class_tokens: int = 1, rule: str = BICUBIC
) -> Tensor:
    """Resize a trained position table to another grid; keeps the class token's row.

    The trained grid gets the table itself; a grid with as many patches but another shape does not.
    Everything is computed in float32.

    Args:
        table: (class tokens + g * g, width), the class token's row first.
        grid: Rows and columns of patches.
        class_tokens: Rows before those of the patches: 1 for CLIP, 0 for SigLIP.
        rule: A name in `RULES`. "bicubic" takes the scale (n + 0.1) / g, which also determines the
            source coordinates, as in SCLIP's evaluation code and those built on it; "antialiased"
            is bicubic and "bilinear" linear, both with the scale n / g; "antialiased bilinear" is
            the latter with a kernel that widens where the grid shrinks.

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
    down, across = (_axis(side, length, RULES[rule], unchanged=trained) for length in grid)
    image = table[class_tokens:].float().unflatten(0, (side, side))  # (g, g, width)
    patches = across @ (down @ image.flatten(1)).unflatten(1, (side, -1))
    return torch.cat([table[:class_tokens], patches.flatten(0, 1).to(table.dtype)])


def _axis(source: int, target: int, rule: _Rule, *, unchanged: Tensor) -> Tensor:
    """Resizing along one axis, (target, source) float32."""
    at = torch.arange(target, device=unchanged.device)
    among = torch.arange(source, device=unchanged.device)
    return torch.where(unchanged, (at[:, None] == among).float(), rule(source, target, at, among))


def _bicubic(source: int, target: int, at: Tensor, among: Tensor) -> Tensor:
    """Four neighbours each; borders are repeated."""
    places = (at + 0.5) * (source / (target + 0.1)) - 0.5
    nearest = places.floor()[:, None] + torch.arange(-1, 3, device=at.device)  # (target, 4)
    weights = _cubic((places[:, None] - nearest).abs(), _SHARPNESS)
    index = nearest.clamp(0, source - 1)
    return ((index[..., None] == among) * weights[..., None]).sum(dim=1)


def _antialiased(source: int, target: int, at: Tensor, among: Tensor) -> Tensor:
    """A kernel that widens where the grid shrinks; at borders the weights inside are normalised."""
    scale = _scale(source, at)
    distance = ((at + 0.5)[:, None] * scale - (among + 0.5)).abs() / scale.clamp_min(1)
    weights = _cubic(distance.clamp_max(2), _SHARPNESS_ANTIALIASED)
    return weights / weights.sum(dim=1, keepdim=True)


def _bilinear(source: int, target: int, at: Tensor, among: Tensor) -> Tensor:
    """Two neighbours each; borders are repeated."""
    places = ((at + 0.5) * _scale(source, at) - 0.5).clamp(0, source - 1)
    return (1 - (places[:, None] - among).abs()).clamp_min(0)


def _antialiased_bilinear(source: int, target: int, at: Tensor, among: Tensor) -> Tensor:
    """Two neighbours each, more where the grid shrinks; borders as in `_antialiased`."""
    scale = _scale(source, at)
    distance = ((at + 0.5)[:, None] * scale - (among + 0.5)).abs() / scale.clamp_min(1)
    weights = (1 - distance).clamp_min(0)
    return weights / weights.sum(dim=1, keepdim=True)


def _scale(source: int, at: Tensor) -> Tensor:
    """Return source / target as a tensor, since a graph is made for any target."""
    return source / torch.ones_like(at).sum()


_Rule = Callable[[int, int, Tensor, Tensor], Tensor]
RULES: Mapping[str, _Rule] = {
    BICUBIC: _bicubic,
    "antialiased": _antialiased,
    "bilinear": _bilinear,
    "antialiased bilinear": _antialiased_bilinear,
}


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' cubic convolution kernel at distances from 0 to 2."""
    near = ((a + 2) * distance - (a + 3)) * distance.square() + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return torch.where(distance <= 1, near, far)
