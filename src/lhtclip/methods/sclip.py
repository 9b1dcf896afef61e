"""SCLIP: correlative self-attention, queries with queries and keys with keys (arXiv 2312.01597).

Its official code keeps the residual connection and the MLP. The LHT-CLIP ablations start from the
same attention without either.
"""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import LastBlock, Method


def update(last: LastBlock) -> Tensor:
    """A = softmax(s Q Qᵀ) + softmax(s K Kᵀ), the sum, so rows sum to 2."""
    attention, x = last.attention, last.normed
    queries, keys, values = attention.queries(x), attention.keys(x), attention.values(x)
    return attention.merge(
        attention.mix(queries, queries, values) + attention.mix(keys, keys, values)
    )


SCLIP = Method(
    "sclip", update, residual=True, mlp=True, source="SCLIP, arXiv 2312.01597", joinable=True
)
