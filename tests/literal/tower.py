"""The tower from pixels to embeddings, with techniques and the method in their places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from lhtclip.clip.model import Clip
from lhtclip.clip.positions import positions_for_grid
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import LhtSettings
from tests.literal.basics import Array, Grid, array, layer_norm, mlp
from tests.literal.hosts import update
from tests.literal.inside import Inside
from tests.literal.rfclip import mend, mend_channels, refocused
from tests.literal.self_attention import attention_heads, contribution
from tests.literal.techniques import enhance, judge, replace

LastBlock = str | Callable[[Inside], Array]  # a method's name, or what its attention adds


POSITIONS = {"gem": "antialiased", "clip-surgery": "bilinear"}  # all others: "bicubic"


def embed(image: Array, model: Clip, grid: Grid, rule: str = "bicubic") -> Array:
    """X^0 of one image (3, height, width)."""
    tensors, side = model.vision.state_dict(), model.config.vision.patch_size
    weight = array(tensors["patch_embedding.weight"])
    tokens = [array(tensors["class_embedding"])]
    for y in range(grid[0]):
        for x in range(grid[1]):
            patch = image[:, y * side : (y + 1) * side, x * side : (x + 1) * side]
            tokens.append(weight @ patch.reshape(-1))
    positions = array(positions_for_grid(tensors["positions"], grid, rule=rule))
    x = layer_norm(np.stack(tokens) + positions, tensors, "pre_norm")
    return x[1 - model.vision.class_tokens :]


def encode(
    pixels: Tensor,
    model: Clip,
    *,
    method: LastBlock,
    lht: LhtSettings,
    residual: bool,
    mlp_kept: bool,
    excess: float = 5.0,
) -> Array:
    """Patch embeddings of unit length, (batch, rows, columns, E)."""
    return np.stack(
        [
            encode_one(
                array(image),
                model,
                method,
                lht,
                residual=residual,
                mlp_kept=mlp_kept,
                excess=excess,
            )
            for image in pixels
        ]
    )


def encode_one(
    image: Array,
    model: Clip,
    method: LastBlock,
    lht: LhtSettings,
    *,
    residual: bool,
    mlp_kept: bool,
    excess: float = 5.0,
) -> Array:
    config, tensors = model.config.vision, model.vision.state_dict()
    grid = (image.shape[1] // config.patch_size, image.shape[2] // config.patch_size)
    last, prefix = config.num_hidden_layers, model.vision.class_tokens
    rule = POSITIONS.get(method, "bicubic") if isinstance(method, str) else "bicubic"
    x = embed(image, model, grid, rule)
    streams = [x]
    written: dict[tuple[int, int], Array] = {}  # X_{l,h} of the patches
    atr = lht.atr or AtrSettings()

    def restore(patches: Array) -> Array:
        """ATR, then SHE."""
        abnormal = judge(patches, atr.threshold)
        if lht.atr is not None:
            patches = replace(patches, grid, atr, abnormal)
        if lht.she is not None:
            chosen = [written[head] for head in lht.she.heads]
            patches = enhance(patches, chosen, grid, lht.she, atr, abnormal)
        return patches

    blocks = {
        name.removeprefix("blocks."): tensor
        for name, tensor in tensors.items()
        if name.startswith("blocks.")
    }
    inside = Inside(streams, blocks, config.num_attention_heads, grid, prefix, restore, excess)
    for layer in range(1, last):
        alpha = lht.ssr.alpha if lht.ssr is not None and layer in lht.ssr.layers else 0.0
        entered, normed, weights = x, inside.normed(layer), inside.attention(layer)
        if method == "rfclip-paper":
            outputs = refocused(x, normed, weights, prefix, excess=excess)
        else:
            outputs = attention_heads("clip", normed, weights, grid)
        for head, output in enumerate(outputs):
            written[layer, head + 1] = contribution(output, weights, head)[prefix:]
        x = (1 + alpha) * x + (1 - alpha) * weights.merge(outputs)
        block = f"blocks.{layer - 1}"
        added = mlp(layer_norm(x, tensors, f"{block}.norm2"), tensors, f"{block}.mlp")
        x = (1 + alpha) * x + (1 - alpha) * added
        if method == "rfclip":
            x = np.concatenate([x[:prefix], mend(x[prefix:], grid, excess=excess)])
        if method == "rfclip-paper":
            mended = mend_channels(x[prefix:], entered[prefix:], grid, excess=excess)
            x = np.concatenate([x[:prefix], mended])
        streams.append(x)
    x = np.concatenate([x[:prefix], restore(x[prefix:])])
    streams[-1] = x
    added = update(method, inside) if isinstance(method, str) else method(inside)
    x = x + added if residual else added
    if mlp_kept:
        block = f"blocks.{last - 1}"
        x = x + mlp(layer_norm(x, tensors, f"{block}.norm2"), tensors, f"{block}.mlp")
    embeddings = layer_norm(x, tensors, "final_norm") @ array(tensors["projection.weight"]).T
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (embeddings / lengths)[prefix:].reshape(*grid, -1)
