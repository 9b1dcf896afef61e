"""SCLIP: correlative self-attention, queries with queries and keys with keys (arXiv 2312.01597).

Its official code keeps the residual connection and the MLP. The LHT-CLIP ablations start from the
same attention without either.
"""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import Context, LastAttention, Method


def mix(attention: LastAttention, x: Tensor, context: Context) -> Tensor:
    """A = softmax(s Q Qᵀ) + softmax(s K Kᵀ), the sum, so rows sum to 2."""
    del context
    queries, keys, values = attention.queries(x), attention.keys(x), attention.values(x)
    return attention.merge(
        attention.mix(queries, queries, values) + attention.mix(keys, keys, values)
    )


SCLIP = Method("sclip", mix, residual=True, mlp=True, source="SCLIP, arXiv 2312.01597")
