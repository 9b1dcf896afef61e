"""SHE, selective head enhancement: a few good heads say what belongs together (arXiv 2510.23894).

About ten heads of the middle layers keep telling objects apart on every data set. The similarity
of what these heads write smooths the patch tokens that enter the last block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, is_number, unknown
from lhtclip.techniques.atr import AtrSettings, replace_abnormal

Head = tuple[int, int]  # layer and head, both 1-based


@dataclass(frozen=True, slots=True)
class SheSettings:
    """Settings of SHE; the paper's text leaves all but the heads open.

    heads: The chosen (layer, head) pairs, 1-based, best first; none from the last layer.
    beta: β, similarities below it are dropped. The paper names no value; 0.4 is what related work
        uses on token similarities.
    normalise: "column" divides S_β by its column sums, as the paper says; "row" makes each new
        token a weighted mean. S_β is symmetric, so they differ only by a factor per token and one
        per source token.
    atr: ATR inside each head's contribution, which the paper applies: by its "own" Hoyer score,
        the literal reading, by that of the "residual" stream entering the last block, or "none".
    unit_heads: Scale each head's contribution to unit length before the mean. The text does not,
        so strong heads weigh more.
    centred: Subtract the mean over patches before the cosine. Not in the paper: for models whose
        heads share one large component, so that all cosines are high.
    """

    heads: tuple[Head, ...]
    beta: float = 0.4
    normalise: Literal["column", "row"] = "column"
    atr: Literal["own", "residual", "none"] = "own"
    unit_heads: bool = False
    centred: bool = False

    def __post_init__(self) -> None:
        """Refuse settings without heads, a negative β, and words that mean nothing."""
        heads = cast("tuple[object, ...]", self.heads)
        if not heads or not all(isinstance(head, tuple) and len(head) == 2 for head in heads):
            raise InputError(
                f"SHE needs heads as (layer, head) pairs, at least one, not {self.heads!r}."
            )
        if not (is_number(self.beta) and self.beta >= 0):
            raise InputError(
                f"SHE's beta must be 0 or more, not {self.beta!r}: opposites would cancel out."
            )
        if self.normalise not in ("column", "row"):
            raise unknown("normalisation of SHE", self.normalise, ("column", "row"))
        if self.atr not in ("own", "residual", "none"):
            raise unknown("ATR inside SHE", self.atr, ("own", "residual", "none"))

    def heads_of(self, layer: int) -> tuple[int, ...]:
        """Return the chosen heads of a 1-based layer, 0-based."""
        return tuple(head - 1 for chosen, head in self.heads if chosen == layer)


def enhance(
    patches: Tensor,
    contributions: Sequence[Tensor],
    grid: tuple[int, int],
    settings: SheSettings,
    *,
    atr: AtrSettings,
    abnormal: Tensor,
) -> Tensor:
    """Smooth patch tokens along the similarity of the good heads: X^{L-1} ← Norm(S_β) X^{L-1}.

    Args:
        patches: Patch tokens without the class token, (batch, patches, width).
        contributions: X_{l,h} of the chosen heads without the class token, a tensor a layer,
            (batch, heads of the layer, patches, width).
        grid: Rows and columns of patches.
        settings: How.
        atr: How abnormal tokens inside the contributions are found and replaced.
        abnormal: Abnormal tokens of the residual stream, bool (batch, patches).

    Returns:
        (batch, patches, width).
    """
    chosen = torch.cat([c.flatten(0, 1) for c in contributions])  # (heads * batch, patches, width)
    if settings.atr != "none":
        judged = None
        if settings.atr == "residual":
            judged = torch.cat([abnormal.repeat_interleave(c.shape[1], 0) for c in contributions])
        chosen = replace_abnormal(chosen, grid, atr, abnormal=judged)
    if settings.unit_heads:
        chosen = F.normalize(chosen, dim=-1)
    sizes = [c.shape[0] * c.shape[1] for c in contributions]
    layers = [
        part.view(c.shape).sum(dim=1)
        for part, c in zip(chosen.split(sizes), contributions, strict=True)
    ]
    mean = torch.stack(layers).sum(dim=0) / len(settings.heads)  # X_topk
    weights = affinity(mean, settings)
    return (weights @ patches.float()).to(patches.dtype)


def affinity(features: Tensor, settings: SheSettings) -> Tensor:
    """Return Norm(S_β), S the cosine similarity between patches.

    Args:
        features: X_topk, (batch, patches, width).
        settings: β, the normalisation, and whether the mean is removed.

    Returns:
        (batch, patches, patches) float32, the diagonal always kept, so no row or column is empty.
    """
    features = features.float()
    if settings.centred:
        features = features - features.mean(dim=1, keepdim=True)
    features = F.normalize(features, dim=-1)
    similarity = features @ features.transpose(1, 2)
    diagonal = torch.eye(similarity.shape[-1], dtype=torch.bool, device=similarity.device)
    similarity = similarity.masked_fill(diagonal, 1.0)  # also for a contribution of zeros
    kept = similarity * ((similarity >= settings.beta) | diagonal)
    axis = -2 if settings.normalise == "column" else -1
    return kept / kept.sum(dim=axis, keepdim=True)
