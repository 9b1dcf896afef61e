"""ClearCLIP: queries with queries, and neither residual connection nor MLP (arXiv 2407.12442)."""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import LastBlock, Method


def update(last: LastBlock) -> Tensor:
    """A = softmax(s Q Qᵀ)."""
    attention, x = last.attention, last.normed
    queries, values = attention.queries(x), attention.values(x)
    return attention.merge(attention.mix(queries, queries, values))


CLEARCLIP = Method(
    "clearclip",
    update,
    residual=False,
    mlp=False,
    source="ClearCLIP, arXiv 2407.12442",
    joinable=True,
)
