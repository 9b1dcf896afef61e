"""CLIP's own last block, untouched (arXiv 2103.00020)."""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import LastBlock, Method


def update(last: LastBlock) -> Tensor:
    """A = softmax(s Q Kᵀ)."""
    attention, x = last.attention, last.normed
    queries, keys, values = attention.queries(x), attention.keys(x), attention.values(x)
    return attention.merge(attention.mix(queries, keys, values))


CLIP = Method(
    "clip", update, residual=True, mlp=True, source="CLIP, arXiv 2103.00020", joinable=True
)
