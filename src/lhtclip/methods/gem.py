"""GEM: queries, keys and values cluster themselves, on a second stream (arXiv 2312.00878).

Each of the three is normalised, smoothed once by its own similarity, normalised again, and then
says which values to mix; the three answers are averaged.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.methods.method import LastAttention, LastBlock, Method
from lhtclip.methods.second_stream import NOTE, SecondStreamSettings, collect, positions, reads


def update(last: LastBlock, settings: SecondStreamSettings) -> Tensor:
    """X^{L-6} and the last 6 updates with self-self attention."""
    return collect(last, settings, self_self)


def self_self(attention: LastAttention, x: Tensor) -> Tensor:
    """Return what a block adds to the second stream: A = ⅓ Σ softmax(τ p pᵀ), p of q, k, v.

    τ is s times the mean length of the image's normed tokens, so it needs no tuning by model.
    """
    values = attention.values(x)
    sharpness = x.norm(dim=-1).mean(dim=-1).view(-1, 1, 1, 1)  # τ / s
    outputs: list[Tensor] = []
    for features in (attention.queries(x), attention.keys(x), values):
        unit = F.normalize(features, dim=-1)
        unit = F.normalize(attention.mix(sharpness * unit, unit, unit), dim=-1)
        outputs.append(attention.mix(sharpness * unit, unit, values))
    return attention.merge(torch.stack(outputs).mean(dim=0))


GEM = Method(
    "gem",
    update,
    residual=False,  # the second stream has its own
    mlp=False,
    source="GEM, arXiv 2312.00878",
    settings=SecondStreamSettings(positions="antialiased"),
    reads=reads,
    positions=positions,
    note=NOTE,
    joinable=True,
)
