"""PEARL's attention: keys are rotated onto queries by Procrustes' solution (arXiv 2603.21528).

Per head, q_c and k_c are queries and keys less their means, weighted by ‖q_i‖ over the patches.
With M = k_cᵀ q_c and the orthogonal factor R of its polar decomposition (U Vᵀ of M = U Σ Vᵀ),

    A = softmax(s q (k R)ᵀ + α s k_c k_cᵀ).

This is the released code: it takes M without the weights, which the paper has there too, and finds
R by five Newton-Schulz steps, which stop short of an orthogonal matrix. PEARL's other half,
text-aware label propagation, works on every method: see `lhtclip.decoding.tlp`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.errors import InputError, is_number
from lhtclip.methods.method import LastBlock, Method

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class PearlSettings:
    """Settings of PEARL's attention, the published ones by default.

    Attributes:
        alpha: α, the weight of similarities of keys, 0 or more. PEARL takes 0.3 on Cityscapes and
            ADE20K.
        steps: Newton-Schulz steps towards R; 0 takes the exact solution, which has no ONNX graph.
    """

    alpha: float = 0.08
    steps: int = 5

    def __post_init__(self) -> None:
        """Validate the settings."""
        if not (is_number(self.alpha) and self.alpha >= 0):
            raise InputError(f"PEARL's alpha must be 0 or more, not {self.alpha!r}.")
        if not (type(self.steps) is int and self.steps >= 0):
            raise InputError(f"PEARL's steps are a whole number from 0 on, not {self.steps!r}.")


def update(last: LastBlock, settings: PearlSettings) -> Tensor:
    """A V with the attention above; the class token only has no weight in the means."""
    attention, prefix = last.attention, last.class_tokens
    dtype = torch.promote_types(last.normed.dtype, torch.float32)
    queries = attention.queries(last.normed).to(dtype)
    keys = attention.keys(last.normed).to(dtype)
    weights = queries.norm(dim=-1, keepdim=True)
    weights = torch.cat([torch.zeros_like(weights[..., :prefix, :]), weights[..., prefix:, :]], -2)
    weights = weights / (weights.sum(dim=-2, keepdim=True) + _EPSILON)
    centred_queries = queries - (weights * queries).sum(dim=-2, keepdim=True)
    centred_keys = keys - (weights * keys).sum(dim=-2, keepdim=True)
    rotation = orthogonal(centred_keys.mT @ centred_queries, settings.steps)
    scale = attention.scale
    scores = scale * queries @ (keys @ rotation).mT
    scores = scores + settings.alpha * scale * centred_keys @ centred_keys.mT
    values = attention.values(last.normed)
    return attention.merge(scores.softmax(dim=-1).to(values) @ values)


def orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """Return the orthogonal factor of a polar decomposition, or what some steps give of it.

    M (MᵀM)^(-1/2), the inverse root by Newton-Schulz steps on MᵀM over its Frobenius norm.

    Args:
        matrix: M, (..., d, d).
        steps: 0 takes U Vᵀ of the singular value decomposition.
    """
    if steps == 0:
        left, _, right = torch.linalg.svd(matrix)
        return left @ right
    square = matrix.mT @ matrix
    norm = square.flatten(-2).norm(dim=-1).clamp_min(_EPSILON)[..., None, None]
    identity = torch.eye(matrix.shape[-1], device=matrix.device, dtype=matrix.dtype)
    root, inverse = square / norm + _EPSILON * identity, identity.expand_as(square)
    for _ in range(steps):
        factor = (3 * identity - inverse @ root) / 2
        root, inverse = root @ factor, factor @ inverse
    return matrix @ inverse / norm.sqrt()


PEARL = Method(
    "pearl",
    update,
    residual=False,
    mlp=False,
    source="PEARL, arXiv 2603.21528",
    settings=PearlSettings(),
)
