"""Towers without pixels: random blocks, and random streams between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lhtclip.clip.layers import Attention, Block, Mlp
from lhtclip.methods import LastBlock, Method
from tests import literal

WIDTH, HEADS = 24, 3


def blocks(depth: int, *, seed: int = 0) -> list[Block]:
    """Return float64 blocks with weights of their own."""
    generator = torch.Generator().manual_seed(seed)
    made = [
        Block(Attention(WIDTH, HEADS), Mlp(WIDTH, 8, "quick_gelu"), width=WIDTH, epsilon=1e-5)
        .double()
        .requires_grad_(False)
        for _ in range(depth)
    ]
    for block in made:
        for weight in block.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    return made


@dataclass(frozen=True, slots=True)
class Tower:
    """Blocks and the streams between them, the last one restored."""

    grid: tuple[int, int]
    class_tokens: int
    blocks: Sequence[Block]
    streams: Mapping[int, Tensor]  # X^0 to X^{L-1}
    restore: Callable[[Tensor], Tensor]

    def last(self, method: Method | None = None) -> LastBlock:
        """Return the last block, with all streams or only those that the method says it reads."""
        depth, block = len(self.blocks), self.blocks[-1]
        layers = range(depth) if method is None else {depth - 1, *method.layers_read(depth)}
        return LastBlock(
            attention=block.attention,
            x=self.streams[depth - 1],
            normed=block.norm1(self.streams[depth - 1]),
            grid=self.grid,
            class_tokens=self.class_tokens,
            blocks=self.blocks,
            streams={layer: self.streams[layer] for layer in layers},
            restore=self.restore,
        )


def tower(
    grid: tuple[int, int],
    *,
    depth: int = 5,
    class_tokens: int = 1,
    batch: int = 2,
    seed: int = 1,
    restore: Callable[[Tensor], Tensor] = lambda patches: patches,
) -> Tower:
    """Return all blocks and all streams, each stream a step away from the one before it."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, class_tokens + grid[0] * grid[1], WIDTH)
    steps = torch.randn((depth, *shape), generator=generator, dtype=torch.float64)
    return Tower(grid, class_tokens, blocks(depth), dict(enumerate(steps.cumsum(dim=0))), restore)


def update(method: Method, given: Tower) -> Tensor:
    """Apply a method, which gets to see no streams but those it says it reads."""
    return method.apply(given.last(method))


def slowly(method: Callable[[literal.Inside], literal.Array], given: Tower) -> Tensor:
    """Apply the literal version, image by image; `restore` must not look across them."""
    made = nn.ModuleList(given.blocks)
    tensors = made.state_dict()

    def restore(patches: literal.Array) -> literal.Array:
        return given.restore(torch.from_numpy(patches)[None])[0].numpy()

    images: list[literal.Array] = []
    for image in range(len(given.streams[0])):
        streams = [given.streams[layer][image].numpy() for layer in range(len(made))]
        inside = literal.Inside(streams, tensors, HEADS, given.grid, given.class_tokens, restore)
        images.append(method(inside))
    return torch.from_numpy(np.stack(images))


def one_by_one(given: Tower) -> list[Tower]:
    """Split a batch."""
    return [
        dataclasses.replace(given, streams={n: x[i : i + 1] for n, x in given.streams.items()})
        for i in range(len(given.streams[0]))
    ]


def permuted(given: Tower, order: Tensor) -> Tower:
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
