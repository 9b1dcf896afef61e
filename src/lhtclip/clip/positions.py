"""Position embeddings for any grid of patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def positions_for_grid(table: Tensor, grid: tuple[int, int], *, class_tokens: int = 1) -> Tensor:
    """Stretch a trained position table to another grid; the class token's row is kept.

    Bicubic in float32 with the scale (n + 0.1) / g in each direction, the rule of the published
    evaluation code; its scale also places the source coordinates. A grid equal to the trained one
    gets the table itself; one with as many patches but another shape does not.

    Args:
        table: (class tokens + g * g, width), the class token's row first.
        grid: Rows and columns of patches wanted.
        class_tokens: Rows before those of the patches: 1 for CLIP, 0 for SigLIP.

    Returns:
        (class tokens + rows * columns, width) in the dtype of the table.
    """
    side = round((table.shape[0] - class_tokens) ** 0.5)
    rows, columns = grid
    if (rows, columns) == (side, side):
        return table
    image = table[class_tokens:].float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    stretched = F.interpolate(
        image,
        scale_factor=((rows + 0.1) / side, (columns + 0.1) / side),
        mode="bicubic",
        align_corners=False,
        recompute_scale_factor=False,
    )
    patches = stretched.flatten(2)[0].T.to(table.dtype)  # (rows * columns, width)
    return torch.cat([table[:class_tokens], patches])
