"""Which heads tell objects apart: visual discriminability of every head's contribution.

A head's contribution to the residual stream is X_{l,h} = A_h V_h W_o,h, without bias
(arXiv 2510.23894 §3.3).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lhtclip.analysis.discriminability import pair_auc
from lhtclip.clip.towers import ImageTower
from lhtclip.techniques.she import Head


def head_contributions(vision: ImageTower, pixels: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Run the image tower and yield, layer by layer, what each head writes to the patch tokens.

    Args:
        vision: The image tower.
        pixels: normalised, (batch, 3, height, width).

    Yields:
        The 1-based layer and (batch, heads, patches, width).
    """
    x = vision.embed(pixels)
    for layer, block in enumerate(vision.blocks, start=1):
        attention = block.attention
        head_outputs = attention.head_outputs(block.norm1(x))
        yield layer, attention.contributions(head_outputs[:, :, 1:], range(attention.heads))
        x = x + attention.merge(head_outputs)
        x = x + block.mlp(block.norm2(x))


@torch.inference_mode()
def rank_heads(vision: ImageTower, pixels: Tensor, labels: Tensor) -> list[tuple[Head, float]]:
    """Rank the heads of all layers before the last by the AUC of their contributions.

    Args:
        vision: The image tower.
        pixels: normalised, (batch, 3, height, width).
        labels: Class of each patch, integers (batch, rows, columns), `UNLABELLED` where mixed.

    Returns:
        ((layer, head), AUC) with 1-based layer and head, best first; pairs of patches are taken
        within and across the images of the batch.
    """
    aucs: dict[Head, float] = {}
    for layer, contributions in head_contributions(vision, pixels):
        if layer == len(vision.blocks):
            break
        for head, contribution in enumerate(contributions.unbind(1), start=1):
            aucs[layer, head] = pair_auc(contribution.flatten(0, 1), labels.flatten())
    return sorted(aucs.items(), key=lambda item: -item[1])
