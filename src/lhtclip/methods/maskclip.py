"""MaskCLIP: every token attends to itself alone (arXiv 2112.01071).

Its official code keeps the residual connection and the MLP; many later tables list it without
either.
"""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import LastBlock, Method


def update(last: LastBlock) -> Tensor:
    """A = I."""
    return last.attention.merge(last.attention.values(last.normed))


MASKCLIP = Method("maskclip", update, residual=True, mlp=True, source="MaskCLIP, arXiv 2112.01071")
