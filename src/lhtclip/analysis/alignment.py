"""Semantic alignment: how many patches of a layer are nearest to a prompt of their class?

A layer's patch tokens take the shortest way to the texts, through the value and output projections
of the last block only (arXiv 2510.23894 §3).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lhtclip.analysis.discriminability import UNLABELLED
from lhtclip.clip.towers import ImageTower


def shortcut_embeddings(vision: ImageTower, tokens: Tensor) -> Tensor:
    """Project tokens of any layer into the space of the texts by LN1(x) W_v W_o of the last block.

    Attention is the identity, without residual connection and MLP. Norm and biases are those of the
    block; final norm and projection follow. The paper's formula shows no LN1; without it, tokens of
    different layers would enter the projections at different scales.

    Args:
        vision: The image tower.
        tokens: (..., tokens, width).

    Returns:
        (..., tokens, E) float32 of unit length.
    """
    block = vision.blocks[-1]
    values = block.attention.merge(block.attention.values(block.norm1(tokens)))
    return F.normalize(vision.project(values).float(), dim=-1)


def correct_patches(
    embeddings: Tensor,
    texts: Tensor,
    class_of_query: Tensor,
    labels: Tensor,
    *,
    offered: Tensor | None = None,
) -> tuple[int, int]:
    """Count labelled patches whose nearest text belongs to their class.

    Args:
        embeddings: (batch, patches, E), unit length.
        texts: (prompts, E), unit length.
        class_of_query: Class of each prompt, integers (prompts,).
        labels: Class of each patch, integers (batch, patches); `UNLABELLED` does not count.
        offered: Classes that an image may be labelled with, bool (batch, classes); None for all.

    Returns:
        Number of correct patches, number of patches.
    """
    cosines = embeddings @ texts.to(embeddings).T
    if offered is not None:
        cosines = cosines.masked_fill(~offered[:, None, class_of_query], -2.0)
    right = class_of_query[cosines.argmax(dim=-1)] == labels
    counted = labels != UNLABELLED
    return int((right & counted).sum()), int(counted.sum())
