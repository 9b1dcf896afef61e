"""Find the neurons that write abnormal tokens, on images without labels (arXiv 2506.08010 §3)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from experiments.registers.tower import Neuron, plain_mlp
from lhtclip.clip.towers import ImageTower
from lhtclip.techniques.atr import hoyer


@torch.inference_mode()
def register_neurons(
    vision: ImageTower, batches: Iterable[Tensor], *, count: int, share: float = 0.02
) -> tuple[Neuron, ...]:
    """Return the neurons that are most active at abnormal tokens, first the most active.

    Abnormal are the patches of a batch with the highest Hoyer scores when they enter the last
    block. The paper takes those with the largest norm; for ATR it is sparsity that counts. A neuron
    is ranked by its mean absolute activation at them, over all layers before the last.

    Args:
        vision: The image tower.
        batches: Normalised pixels, (windows, 3, height, width).
        count: How many neurons.
        share: The share of patches that count as abnormal.
    """
    prefix, total = vision.class_tokens, torch.zeros(())
    for pixels in batches:
        active: list[Tensor] = []
        x = vision.embed(pixels)
        for block in vision.blocks[:-1]:
            mlp = plain_mlp(block)
            x = x + block.attention(block.norm1(x))
            hidden = mlp.activation(mlp.expand(block.norm2(x)))
            active.append(hidden[:, prefix:].abs().flatten(0, 1))
            x = x + mlp.contract(hidden)
        scores = hoyer(x[:, prefix:]).flatten()
        abnormal = scores.topk(max(1, round(share * len(scores)))).indices
        total = total + torch.stack([each[abnormal].double().sum(dim=0) for each in active]).cpu()
    units = total.shape[1]
    found = total.flatten().topk(count).indices.tolist()
    return tuple((index // units + 1, index % units) for index in found)
