"""MaskCLIP: every token attends to itself alone (arXiv 2112.01071).

Its official code keeps the residual connection and the MLP; many later tables list it without
either.
"""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import Context, LastAttention, Method


def mix(attention: LastAttention, x: Tensor, context: Context) -> Tensor:
    """A = I."""
    del context
    return attention.merge(attention.values(x))


MASKCLIP = Method("maskclip", mix, residual=True, mlp=True, source="MaskCLIP, arXiv 2112.01071")
