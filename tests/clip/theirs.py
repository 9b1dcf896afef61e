"""Towers of `transformers` and ours, layer by layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def noise(height: int, width: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def features(output: Any) -> Tensor:
    """Take the features out of what `get_*_features` returns; before version 5, just them."""
    return output if isinstance(output, Tensor) else output.pooler_output


def assert_close(ours: Tensor, theirs: Tensor, *, tolerance: float = 1e-5) -> None:
    """Compare the largest difference with the largest value, if that is above 1.

    The residual streams reach 30, where the rounding of float32 adds up to more than 1e-5: they
    embed patches by a convolution, we by a matrix product.
    """
    assert ours.shape == theirs.shape
    difference = (ours - theirs).abs().max().item()
    assert difference <= tolerance * max(1.0, theirs.abs().max().item())


def assert_streams_close(
    tower: Any, given: Tensor, theirs: Any, *, tolerance: float, causal: bool = False
) -> Tensor:
    """Compare the residual stream before and after each block, and return the last."""
    x = tower.embed(given)
    assert_close(x, theirs.hidden_states[0], tolerance=tolerance)
    for block, expected in zip(tower.blocks, theirs.hidden_states[1:], strict=True):
        x = block(x, causal=causal)
        assert_close(x, expected, tolerance=tolerance)
    return x
