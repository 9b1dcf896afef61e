"""Sums over the tokens of one kind, which give means over all tokens and all their pairs.

The sum of the cosines of all pairs of tokens is the squared length of the sum of their directions.
So mean similarities are exact, in one pass, with the memory of a few vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Kind:
    """Statistics of the abnormal, or the normal, tokens of a layer; NaN if there are too few.

    Attributes:
        count: Number of tokens.
        norm: Mean length.
        attention: Attention received in the next layer, 1 if all tokens receive the same; NaN after
            the last layer.
        within: Mean cosine similarity of two tokens of one image, at different positions.
        across: Mean cosine similarity of two tokens of different images.
    """

    count: int
    norm: float
    attention: float
    within: float
    across: float


class KindSums:
    """Sums up the tokens of one kind in one layer, batch by batch, on the CPU."""

    def __init__(self, width: int) -> None:
        """Start empty, for tokens of this width."""
        self.count = 0
        self.same_image = 0  # ordered pairs of tokens of one image, including a token with itself
        self.norms = self.attention = 0.0
        self.attended = 0  # tokens whose attention was added
        self.directions = torch.zeros(width, dtype=torch.float64)  # of unit length
        self.of_images = 0.0  # squared lengths of the sums of directions of single images
        self.of_tokens = 0.0  # squared lengths of single directions: 1 except for tokens of zeros
        self.magnitudes = torch.zeros(width, dtype=torch.float64)
        self.largest = torch.zeros(width, dtype=torch.long)

    def add(self, tokens: Tensor, chosen: Tensor) -> None:
        """Add the chosen ones, bool (batch, patches), of (batch, patches, width) float32."""
        norms = tokens.norm(dim=-1)
        directions = F.normalize(tokens, dim=-1)
        weights = chosen.to(tokens.dtype)
        per_image = torch.einsum("bn,bnw->bw", weights, directions).cpu().double()
        counts = chosen.sum(dim=1)
        self.count += int(counts.sum())
        self.same_image += int(counts.square().sum())
        self.norms += float((norms * weights).sum())
        self.directions += per_image.sum(dim=0)
        self.of_images += float(per_image.square().sum())
        self.of_tokens += float((directions.square().sum(dim=-1) * weights).sum())
        self.magnitudes += torch.einsum("bn,bnw->w", weights, tokens.abs()).cpu().double()
        largest = tokens.abs().argmax(dim=-1)[chosen].cpu()
        self.largest += largest.bincount(minlength=len(self.largest))

    def add_attention(self, received: Tensor, chosen: Tensor) -> None:
        """Add the attention that the chosen ones receive, both (batch, patches)."""
        self.attention += float(received[chosen].sum())
        self.attended += int(chosen.sum())

    def result(self) -> Kind:
        """Divide."""
        return Kind(
            count=self.count,
            norm=ratio(self.norms, self.count),
            attention=ratio(self.attention, self.attended),
            within=ratio(self.of_images - self.of_tokens, self.same_image - self.count),
            across=ratio(
                float(self.directions.square().sum()) - self.of_images,
                self.count**2 - self.same_image,
            ),
        )


def similarity_between(one: KindSums, other: KindSums) -> float:
    """Return the mean cosine of a token of each, never of a token with itself."""
    products = float(one.directions @ other.directions)
    if one is other:
        return ratio(products - one.of_tokens, one.count**2 - one.count)
    return ratio(products, one.count * other.count)


def ratio(total: float, count: int) -> float:
    """Divide; 0 / 0 is NaN."""
    return total / count if count else math.nan
