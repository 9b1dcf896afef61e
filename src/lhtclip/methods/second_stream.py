"""A second residual stream beside CLIP's own: it takes attention's updates and skips the MLPs.

CLIP Surgery and GEM differ only in the attention that feeds it. CLIP's own stream runs on as it is,
and all attention is computed from that one; the second stream only collects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from lhtclip.methods.method import Context, LastAttention

BLOCKS = 6  # both papers take the last 6, of 12 layers and of 24
NOTE = "ATR and SHE act on its second stream too, before the last block; SSR on CLIP's own alone."


def reads(depth: int) -> Collection[int]:
    """Return the layers whose streams are needed; a tower of fewer blocks gives all it has."""
    return range(_start(depth), depth - 1)


def collect(
    x: Tensor, context: Context, update: Callable[[LastAttention, Tensor], Tensor]
) -> Tensor:
    """Return X^{L-6} + Σ update_l(LN1 X^{l-1}) over the last 6 layers.

    ATR and SHE restore what has been collected when it enters the last block, as they do with
    CLIP's own stream: the papers know nothing of them, and only so do they reach the result.

    Args:
        x: CLIP's normed stream that enters the last block, (batch, tokens, width).
        context: Where the streams before it are.
        update: What a block's attention adds, from normed tokens, same shape as x.

    Returns:
        (batch, tokens, width). Its class token is of this stream, not CLIP's.
    """
    depth, prefix = len(context.blocks), context.class_tokens
    start = _start(depth)
    collected = context.streams[start]
    for layer in range(start + 1, depth):
        block = context.blocks[layer - 1]
        collected = collected + update(block.attention, block.norm1(context.streams[layer - 1]))
    if start < depth - 1:  # otherwise it begins with X^{L-1}, which is restored already
        patches = context.restore(collected[:, prefix:])
        collected = torch.cat([collected[:, :prefix], patches], dim=1)
    return collected + update(context.blocks[-1].attention, x)


def _start(depth: int) -> int:
    return max(depth - BLOCKS, 0)
