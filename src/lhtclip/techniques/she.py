"""SHE, selective head enhancement: good heads decide what belongs together (arXiv 2510.23894).

About ten heads of the middle layers distinguish objects on every data set. The similarity of their
contributions smooths the patch tokens that enter the last block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, check_kind, is_number, is_whole, unknown
from lhtclip.techniques.atr import AtrSettings, hoyer, replace_abnormal

Head = tuple[int, int]  # layer and head, both 1-based


@dataclass(frozen=True, slots=True)
class SheSettings:
    """Settings of SHE; the paper leaves all but the heads open.

    Attributes:
        heads: The chosen (layer, head) pairs, 1-based, best first; none from the last layer.
        beta: β; similarities below it are dropped. The paper gives no value; related work uses 0.4
            on token similarities.
        normalise: "column" divides S_β by its column sums, as in the paper; "row" makes each new
            token a weighted mean. S_β is symmetric, so they differ only by a factor per token and
            one per source token.
        atr: ATR inside each head's contribution, which the paper applies: by its "own" Hoyer score,
            the literal reading; by that of the "residual" stream entering the last block; "none"
            for no ATR.
        unit_heads: Scale each head's contribution to unit length before the mean. The paper does
            not, so strong heads weigh more.
        centred: Subtract the mean over patches before the cosine. Not in the paper: for models
            whose heads share one large component, so that all cosines are high.
    """

    heads: tuple[Head, ...]
    beta: float = 0.4
    normalise: Literal["column", "row"] = "column"
    atr: Literal["own", "residual", "none"] = "own"
    unit_heads: bool = False
    centred: bool = False

    def __post_init__(self) -> None:
        """Validate the settings."""
        heads = cast("object", self.heads)
        if not isinstance(heads, tuple) or not heads or not all(map(_is_head, heads)):
            raise InputError(
                f"SHE needs heads as (layer, head) pairs, at least one, each of whole numbers from "
                f"1 on, not {self.heads!r}."
            )
        if not (is_number(self.beta) and self.beta >= 0):
            raise InputError(
                f"SHE's beta must be 0 or more, not {self.beta!r}: opposites would cancel out."
            )
        for name in ("normalise", "atr"):
            check_kind(name, getattr(self, name), str)
        if self.normalise not in ("column", "row"):
            raise unknown("normalisation of SHE", self.normalise, ("column", "row"))
        if self.atr not in ("own", "residual", "none"):
            raise unknown("ATR inside SHE", self.atr, ("own", "residual", "none"))
        for name in ("unit_heads", "centred"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"SHE's {name} must be True or False.")

    def heads_of(self, layer: int) -> tuple[int, ...]:
        """Return the chosen heads of a 1-based layer, 0-based."""
        return tuple(head - 1 for chosen, head in self.heads if chosen == layer)


def _is_head(pair: object) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and all(map(is_whole, pair))


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """Contributions of the chosen heads of one layer to the residual stream, as two factors.

    X_{l,h} = A_h V_h W_o,h is never stored: it is ten times as wide as the first factor, and
    everything linear can be done on that one.

    Attributes:
        outputs: A_h V_h of the patches, (batch, heads, patches, head width).
        projections: W_o,h, (heads, head width, width).
    """

    outputs: Tensor
    projections: Tensor

    def hoyer(self) -> Tensor:
        """Sparsity of each contribution, (batch, heads, patches).

        Heads are processed one at a time, because a single contribution fits into the caches.
        """
        heads = zip(self.outputs.unbind(1), self.projections, strict=True)
        return torch.stack([hoyer(outputs @ projection) for outputs, projection in heads], dim=1)

    def length(self) -> Tensor:
        """Length of each contribution, (batch, heads, patches, 1) float32."""
        outputs, projections = self.outputs.float(), self.projections.float()
        products = outputs @ (projections @ projections.transpose(1, 2))
        return (products * outputs).sum(dim=-1, keepdim=True).clamp_min(0).sqrt()

    def sum(self) -> Tensor:
        """Sum over heads, (batch, patches, width), as one product with the joined projections."""
        return self.outputs.transpose(1, 2).flatten(2) @ self.projections.flatten(0, 1)


def enhance(
    patches: Tensor,
    contributions: Sequence[Contributions],
    grid: tuple[int, int],
    settings: SheSettings,
    *,
    atr: AtrSettings,
    abnormal: Tensor,
) -> Tensor:
    """Average similar patch tokens, by the chosen heads: X^{L-1} ← Norm(S_β) X^{L-1}.

    Args:
        patches: Patch tokens without the class token, (batch, patches, width).
        contributions: X_{l,h} of the chosen heads, one entry per layer.
        grid: Rows and columns of patches.
        settings: Settings of SHE.
        atr: How abnormal tokens inside the contributions are found and replaced.
        abnormal: Abnormal tokens of the residual stream, bool (batch, patches).

    Returns:
        (batch, patches, width).
    """
    layers = [
        _prepared(layer, grid, settings, atr=atr, abnormal=abnormal).sum()
        for layer in contributions
    ]
    mean = torch.stack(layers).sum(dim=0) / len(settings.heads)  # X_topk
    weights = affinity(mean, settings)
    return (weights @ patches.float()).to(patches.dtype)


def _prepared(
    layer: Contributions,
    grid: tuple[int, int],
    settings: SheSettings,
    *,
    atr: AtrSettings,
    abnormal: Tensor,
) -> Contributions:
    """Apply ATR and the scaling to unit length to the first factor: both are linear."""
    outputs = layer.outputs
    if settings.atr != "none":
        own = settings.atr == "own"
        judged = (
            layer.hoyer() > atr.threshold if own else abnormal[:, None].expand(outputs.shape[:3])
        )
        flat = replace_abnormal(outputs.flatten(0, 1), grid, atr, abnormal=judged.flatten(0, 1))
        outputs = flat.view(outputs.shape)
    layer = Contributions(outputs, layer.projections)
    if settings.unit_heads:
        tiny = torch.finfo(torch.float32).tiny
        scaled = outputs.float() / layer.length().clamp_min(tiny)
        layer = Contributions(scaled.to(outputs.dtype), layer.projections)
    return layer


def affinity(features: Tensor, settings: SheSettings) -> Tensor:
    """Return Norm(S_β), S the cosine similarity between patches.

    Args:
        features: X_topk, (batch, patches, width).
        settings: β, the normalisation, and whether the mean is removed.

    Returns:
        (batch, patches, patches) float32. The diagonal is kept, so no row or column is empty.
    """
    features = features.float()
    if settings.centred:
        features = features - features.mean(dim=1, keepdim=True)
    features = F.normalize(features, dim=-1)
    similarity = features @ features.transpose(1, 2)
    diagonal = torch.eye(similarity.shape[-1], dtype=torch.bool, device=similarity.device)
    similarity = similarity.masked_fill(diagonal, 1.0)  # even for a contribution of zeros
    kept = similarity * ((similarity >= settings.beta) | diagonal)
    axis = -2 if settings.normalise == "column" else -1
    return kept / kept.sum(dim=axis, keepdim=True)
