"""A tower with a register: an extra token that takes the activations of some neurons.

Test-time registers (arXiv 2506.08010). A few neurons of the MLPs write what makes tokens abnormal.
At run time a token of zeros is added before the first block; in each of these neurons it gets the
largest activation of all patches, and the patches get 0. So the register becomes abnormal in their
place. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from lhtclip.clip.layers import Block, Mlp
from lhtclip.clip.towers import ImageTextModel
from lhtclip.errors import InputError

Neuron = tuple[int, int]  # layer, from 1, and unit of its MLP, from 0


class RegisterMlp(nn.Module):
    """An MLP whose chosen neurons act on the register alone.

    Attributes:
        neurons: Which, indices of the hidden layer.
    """

    neurons: Tensor

    def __init__(self, mlp: Mlp, neurons: Sequence[int], *, register: int) -> None:
        """Wrap an MLP; `register` is the place of the register, the patches come after it."""
        super().__init__()
        self.mlp, self.register = mlp, register
        self.register_buffer("neurons", torch.tensor(neurons, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """Return the MLP update of normed tokens x (batch, tokens, width)."""
        hidden = self.mlp.activation(self.mlp.expand(x)).clone()
        chosen = hidden[:, :, self.neurons]
        patches = slice(self.register + 1, None)
        chosen[:, self.register] = chosen[:, patches].amax(dim=1)
        chosen[:, patches] = 0
        hidden[:, :, self.neurons] = chosen
        return self.mlp.contract(hidden)


def plain_mlp(block: Block) -> Mlp:
    """Return the MLP of a block.

    Raises:
        InputError: It has gates or LayerScale, which this experiment does not know.
    """
    if not isinstance(block.mlp, Mlp) or block.mlp.gain is not None:
        raise InputError("Registers are for towers whose MLPs have neither gates nor LayerScale.")
    return block.mlp


def with_register(model: ImageTextModel, neurons: Sequence[Neuron]) -> ImageTextModel:
    """Return a copy of a model whose image tower has a register, as one more token before patches.

    Args:
        model: Its image tower has plain MLPs.
        neurons: Those that act on the register.

    Raises:
        InputError: The tower has other MLPs.
    """
    changed = deepcopy(model)
    vision = changed.vision
    register, embed = vision.class_tokens, vision.embed
    by_layer: Mapping[int, list[int]] = {
        layer: [unit for other, unit in neurons if other == layer] for layer, _ in neurons
    }
    for layer, units in by_layer.items():
        block: Any = vision.blocks[layer - 1]
        block.mlp = RegisterMlp(plain_mlp(block), units, register=register)

    def embed_with_register(pixels: Tensor, **named: Any) -> Tensor:
        x = embed(pixels, **named)
        return torch.cat([x[:, :register], torch.zeros_like(x[:, :1]), x[:, register:]], dim=1)

    vision.embed = embed_with_register
    vision.class_tokens = register + 1
    return changed
