"""Other finishes of the same drawings: outlined, as line art, in few colours.

A model that also sees these learns shapes rather than the strokes of a few styles.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def with_finishes(sprites: Tensor) -> Tensor:
    """Append the finishes to the drawings of all styles.

    Args:
        sprites: uint8 (styles, things, 4, S, S), RGBA with straight alpha.

    Returns:
        uint8 (finishes * styles, things, 4, S, S): as drawn first, then finish by finish.
    """
    return torch.cat([sprites, *(_each(finish, sprites) for finish in FINISHES)])


def outlined(rgba: Tensor) -> Tensor:
    """Draw a dark rim around visible pixels: float (n, 4, S, S) to the same shape."""
    colour, cover = rgba[:, :3], rgba[:, 3:]
    wider = F.max_pool2d(cover, 5, stride=1, padding=2)
    return torch.cat([colour * cover / wider.clamp(min=1e-6), wider], dim=1)


def line_art(rgba: Tensor) -> Tensor:
    """Reduce a drawing to dark lines where colours change, on pale fillings."""
    colour, cover = rgba[:, :3], rgba[:, 3:]
    seen = torch.cat([colour * cover + (1 - cover), 1 - cover], dim=1)
    spread = F.max_pool2d(seen, 3, 1, 1) + F.max_pool2d(-seen, 3, 1, 1)
    lines = ((spread.amax(dim=1, keepdim=True) - 0.2) / 0.2).clamp(0, 1)
    filling = 0.35 * colour + 0.65
    return torch.cat([filling * (1 - lines), cover], dim=1)


def few_colours(rgba: Tensor) -> Tensor:
    """Round each channel to three levels."""
    return torch.cat([(rgba[:, :3] * 2).round() / 2, rgba[:, 3:]], dim=1)


FINISHES = (outlined, line_art, few_colours)


def _each(finish: Callable[[Tensor], Tensor], sprites: Tensor) -> Tensor:
    return torch.stack(
        [(finish(style.float() / 255) * 255).round().to(torch.uint8) for style in sprites]
    )
