"""CLIP's own last block, untouched (arXiv 2103.00020)."""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import Context, LastAttention, Method


def mix(attention: LastAttention, x: Tensor, context: Context) -> Tensor:
    """A = softmax(s Q Kᵀ)."""
    del context
    queries, keys, values = attention.queries(x), attention.keys(x), attention.values(x)
    return attention.merge(attention.mix(queries, keys, values))


CLIP = Method("clip", mix, residual=True, mlp=True, source="CLIP, arXiv 2103.00020")
