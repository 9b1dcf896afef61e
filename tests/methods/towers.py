"""Towers without pixels: random blocks, and random streams between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lhtclip.clip.layers import Attention, Block
from lhtclip.methods import Context, Method
from tests import literal

WIDTH, HEADS = 24, 3


def blocks(depth: int, *, seed: int = 0) -> list[Block]:
    """Return float64 blocks with weights of their own."""
    generator = torch.Generator().manual_seed(seed)
    made = [
        Block(WIDTH, 8, HEADS, activation="gelu", epsilon=1e-5).double().requires_grad_(False)
        for _ in range(depth)
    ]
    for block in made:
        for weight in block.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    return made


def context(
    grid: tuple[int, int],
    *,
    depth: int = 5,
    class_tokens: int = 1,
    batch: int = 2,
    seed: int = 1,
    restore: Callable[[Tensor], Tensor] = lambda patches: patches,
) -> Context:
    """Return all blocks and all streams, each stream a step away from the one before it."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, class_tokens + grid[0] * grid[1], WIDTH)
    steps = torch.randn((depth, *shape), generator=generator, dtype=torch.float64)
    return Context(grid, class_tokens, blocks(depth), dict(enumerate(steps.cumsum(dim=0))), restore)


def update(rule: Method, given: Context) -> Tensor:
    """Apply a rule, which gets to see no streams but those it says it reads."""
    depth = len(given.blocks)
    last, entering = given.blocks[-1], given.streams[depth - 1]
    seen = {depth - 1: entering} | {layer: given.streams[layer] for layer in rule.reads(depth)}
    given = dataclasses.replace(given, streams=seen)
    return rule.mix(last.attention, last.norm1(entering), given)


def slowly(method: Callable[[literal.Inside], literal.Array], given: Context) -> Tensor:
    """Apply the literal version, image by image; `restore` must not look across them."""
    made = nn.ModuleList(block for block in given.blocks if isinstance(block, Block))
    tensors = made.state_dict()

    def restore(patches: literal.Array) -> literal.Array:
        return given.restore(torch.from_numpy(patches)[None])[0].numpy()

    images: list[literal.Array] = []
    for image in range(len(given.streams[0])):
        streams = [given.streams[layer][image].numpy() for layer in range(len(made))]
        inside = literal.Inside(streams, tensors, HEADS, given.grid, given.class_tokens, restore)
        images.append(method(inside))
    return torch.from_numpy(np.stack(images))


def one_by_one(given: Context) -> list[Context]:
    """Split a batch."""
    return [
        dataclasses.replace(given, streams={n: x[i : i + 1] for n, x in given.streams.items()})
        for i in range(len(given.streams[0]))
    ]


def permuted(given: Context, order: Tensor) -> Context:
    """Put the patches, not the class token, into another order."""
    places = torch.cat([torch.arange(given.class_tokens), given.class_tokens + order])
    streams = {layer: stream[:, places] for layer, stream in given.streams.items()}
    return dataclasses.replace(given, streams=streams)


def same_value(attention: Attention) -> Tensor:
    """Give all tokens the same value, and return it: (width)."""
    value = torch.linspace(-1, 1, WIDTH, dtype=torch.float64)
    attention.in_projection.weight[2 * WIDTH :] = 0
    attention.in_projection.bias[2 * WIDTH :] = value
    return value
