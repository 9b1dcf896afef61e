"""A second residual stream next to CLIP's own: it collects attention's updates and skips the MLPs.

CLIP Surgery and GEM differ only in the attention that feeds it. CLIP's own stream runs on as it is,
and all attention is computed from that one; the second stream only collects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.clip.positions import BICUBIC, RULES
from lhtclip.errors import InputError, unknown
from lhtclip.files.fields import check_fields
from lhtclip.methods.method import LastAttention, LastBlock

NOTE = "ATR and SHE also act on its second stream, before the last block; SSR on CLIP's own alone."


@dataclass(frozen=True, slots=True)
class SecondStreamSettings:
    """Settings of CLIP Surgery and of GEM.

    Attributes:
        blocks: How many blocks, counted from the last, the second stream collects from. Both
            papers take 6, of 12 layers and of 24. A tower of fewer blocks gives all that it has.
        positions: How positions are resized for grids other than the trained one, a name in
            `lhtclip.clip.positions.RULES`. The codes of the two methods differ in it, and from
            "bicubic", which all other methods use; features move by up to 10 %.
    """

    blocks: int = 6
    positions: str = BICUBIC

    def __post_init__(self) -> None:
        """Refuse a number of blocks below 1."""
        if not (type(self.blocks) is int and self.blocks >= 1):
            raise InputError(
                f"The blocks of a second stream are a whole number from 1 on, not {self.blocks!r}."
            )
        check_fields(self)
        if self.positions not in RULES:
            raise unknown("way to resize positions", self.positions, RULES)

    def start(self, depth: int) -> int:
        """Return the layer whose output the stream begins with, in a tower of `depth` layers."""
        return max(depth - self.blocks, 0)


def reads(depth: int, settings: SecondStreamSettings) -> Collection[int]:
    """Return the layers whose streams are needed."""
    return range(settings.start(depth), depth - 1)


def positions(settings: SecondStreamSettings) -> str:
    """Return how positions are resized."""
    return settings.positions


def collect(
    last: LastBlock,
    settings: SecondStreamSettings,
    added_by: Callable[[LastAttention, Tensor], Tensor],
) -> Tensor:
    """Return X^{L-6} + Σ added_by(attention_l, LN1 X^{l-1}) over the last 6 layers.

    ATR and SHE restore what has been collected when it enters the last block, as they do with
    CLIP's own stream. The papers do not describe the combination, and otherwise the techniques
    would not reach the result.

    Args:
        last: The last block and the streams before it.
        settings: How many blocks.
        added_by: What a block's attention adds, from normed tokens, (batch, tokens, width).

    Returns:
        (batch, tokens, width). Its class token is of this stream, not CLIP's.
    """
    depth, prefix = len(last.blocks), last.class_tokens
    start = settings.start(depth)
    collected = last.streams[start]
    for layer in range(start + 1, depth):
        block = last.blocks[layer - 1]
        collected = collected + added_by(block.attention, block.norm1(last.streams[layer - 1]))
    if start < depth - 1:  # otherwise it begins with X^{L-1}, which is restored already
        patches = last.restore(collected[:, prefix:])
        collected = torch.cat([collected[:, :prefix], patches], dim=1)
    return collected + added_by(last.attention, last.normed)
