"""SSR, spatial-semantic reweighting: late layers add less and keep more (arXiv 2510.23894).

The last layers improve image-text alignment a little and lose much of what tells patches apart, so
their attention and MLP updates are weakened relative to the residual stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from lhtclip.errors import InputError, is_number, is_whole


@dataclass(frozen=True, slots=True)
class SsrSettings:
    """Settings of SSR.

    Attributes:
        layers: 1-based layers that SSR acts in; never the last one, which belongs to the method.
        alpha: α, how far the balance shifts; 0 changes nothing. The paper uses 0.1.
    """

    layers: tuple[int, ...]
    alpha: float = 0.1

    def __post_init__(self) -> None:
        """Validate the settings."""
        if not (is_number(self.alpha) and -1 < self.alpha < 1):
            raise InputError(f"SSR's alpha must lie between -1 and 1, not {self.alpha!r}.")
        layers = cast("object", self.layers)
        if not isinstance(layers, tuple) or not all(map(is_whole, layers)):
            raise InputError(f"SSR's layers are whole numbers from 1 on, not {self.layers!r}.")


def reweight(x: Tensor, update: Tensor, alpha: float) -> Tensor:
    """Return (1 + α) x + (1 - α) update: X̂ from MSA's update, then X^l from the FFN's.

    Args:
        x: The residual stream, (batch, tokens, width).
        update: What attention or MLP adds to it, same shape.
        alpha: α of the layer; 0 is the plain residual connection.
    """
    if alpha == 0:
        return x + update
    return torch.add((1 + alpha) * x, update, alpha=1 - alpha)
