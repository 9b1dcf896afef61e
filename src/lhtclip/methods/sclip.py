"""SCLIP: correlative self-attention, queries with queries and keys with keys (arXiv 2312.01597).

Its official code keeps the residual connection and the MLP. The LHT-CLIP ablations start from the
same attention without either. In a tower with several blocks of its own for texts (dino.txt), it
acts in each of them: the only published figures of SCLIP on such a tower were measured so.
"""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import BlockInput, LastBlock, Method


def update(last: LastBlock) -> Tensor:
    """A = softmax(s Q Qᵀ) + softmax(s K Kᵀ), the sum, so rows sum to 2."""
    return last.attention.merge(_correlative(last))


def attend(block: BlockInput) -> Tensor:
    """Return A V of an earlier block: the same A where it was added for texts, else its own."""
    if block.added:
        return _correlative(block)
    return block.attention.head_outputs(block.normed)


def _correlative(block: BlockInput) -> Tensor:
    attention, x = block.attention, block.normed
    queries, keys, values = attention.queries(x), attention.keys(x), attention.values(x)
    return attention.mix(queries, queries, values) + attention.mix(keys, keys, values)


SCLIP = Method(
    "sclip",
    update,
    residual=True,
    mlp=True,
    source="SCLIP, arXiv 2312.01597",
    joinable=True,
    attend=attend,
)
