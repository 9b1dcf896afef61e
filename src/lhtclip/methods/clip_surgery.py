"""CLIP Surgery: values with values, on a second stream without MLPs (arXiv 2304.05653 §3.2).

Its other half, feature surgery, needs texts and is left out: it takes the mean over classes of the
weighted scores off every class at a patch, which moves heat maps but never the order of classes, so
that only the weights, made from the class token, could change a label. The class row, which the
published code takes from CLIP's own stream, is of no use to patches.
"""

from __future__ import annotations

from torch import Tensor

from lhtclip.methods.method import LastAttention, LastBlock, Method
from lhtclip.methods.second_stream import NOTE, SecondStreamSettings, collect, positions, reads


def update(last: LastBlock, settings: SecondStreamSettings) -> Tensor:
    """X^{L-6} and the last 6 updates with A = softmax(s V Vᵀ)."""
    return collect(last, settings, values_with_values)


def values_with_values(attention: LastAttention, x: Tensor) -> Tensor:
    """Return what a block adds to the second stream: A = softmax(s V Vᵀ)."""
    values = attention.values(x)
    return attention.merge(attention.mix(values, values, values))


CLIP_SURGERY = Method(
    "clip-surgery",
    update,
    residual=False,  # the second stream has its own
    mlp=False,
    source="CLIP Surgery, arXiv 2304.05653",
    settings=SecondStreamSettings(positions="bilinear"),
    reads=reads,
    positions=positions,
    note=NOTE,
    joinable=True,
)
