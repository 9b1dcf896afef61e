"""The whole method once more, slowly: one image, one head, one token, one pair at a time.

Written from the formulas, in float64 and with NumPy alone, so that nothing in the package is used
to check itself. An image's tokens are (tokens, width), the class token first; "patches" are the
tokens without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.clip.model import Clip
from lhtclip.clip.positions import positions_for_grid
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import LhtSettings
from lhtclip.techniques.she import SheSettings

Array = NDArray[np.float64]
Grid = tuple[int, int]


def array(tensor: Tensor) -> Array:
    return tensor.double().numpy()


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


# Attention


@dataclass(frozen=True)
class AttentionWeights:
    """Input projection (3 * width, width): queries, keys, values; output projection; biases."""

    heads: int
    in_weight: Array
    in_bias: Array
    out_weight: Array
    out_bias: Array

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], prefix: str, heads: int) -> AttentionWeights:
        return cls(
            heads,
            array(tensors[f"{prefix}in_projection.weight"]),
            array(tensors[f"{prefix}in_projection.bias"]),
            array(tensors[f"{prefix}out_projection.weight"]),
            array(tensors[f"{prefix}out_projection.bias"]),
        )

    def head_columns(self, head: int) -> slice:
        """What a head owns of the width."""
        size = self.out_weight.shape[1] // self.heads
        return slice(head * size, (head + 1) * size)


def neighbourhood(i: int, j: int, grid: Grid, sigma: float = 5.0) -> float:
    """Ω between two tokens of NACLIP."""
    if i == 0 or j == 0:
        return 0.0
    (row_i, column_i), (row_j, column_j) = divmod(i - 1, grid[1]), divmod(j - 1, grid[1])
    return math.exp(-((row_i - row_j) ** 2 + (column_i - column_j) ** 2) / (2 * sigma**2))


def attention_row(method: str, queries: Array, keys: Array, i: int, grid: Grid) -> Array:
    """How much of every token's value token i takes, in one head."""
    tokens, size = queries.shape
    scale = 1 / math.sqrt(size)

    def scores(one: Array, other: Array) -> Array:
        return np.array([scale * float(one[i] @ other[j]) for j in range(tokens)])

    if method == "clip":
        return softmax(scores(queries, keys))
    if method == "maskclip":
        return np.array([1.0 if j == i else 0.0 for j in range(tokens)])
    if method == "sclip":
        return softmax(scores(queries, queries)) + softmax(scores(keys, keys))
    if method == "clearclip":
        return softmax(scores(queries, queries))
    if method == "naclip":
        omega = np.array([neighbourhood(i, j, grid) for j in range(tokens)])
        return softmax(scores(keys, keys) + omega)
    raise AssertionError(method)


def head_output(method: str, x: Array, weights: AttentionWeights, head: int, grid: Grid) -> Array:
    """A_h V_h of one image: (tokens, head width)."""
    width = x.shape[1]
    projected = x @ weights.in_weight.T + weights.in_bias
    queries, keys, values = (
        projected[:, part * width : (part + 1) * width][:, weights.head_columns(head)]
        for part in range(3)
    )
    result = np.zeros_like(values)
    for i in range(len(x)):
        row = attention_row(method, queries, keys, i, grid)
        for j in range(len(x)):
            result[i] += row[j] * values[j]
    return result


def attention(method: str, x: Array, weights: AttentionWeights, grid: Grid) -> Array:
    """Concatenated heads times Wo, plus bo."""
    heads = [head_output(method, x, weights, head, grid) for head in range(weights.heads)]
    return np.concatenate(heads, axis=1) @ weights.out_weight.T + weights.out_bias


def contribution(x: Array, weights: AttentionWeights, head: int, grid: Grid) -> Array:
    """X_{l,h} = A_h V_h W_{o,h}, without bias; the head is 0-based here."""
    output = head_output("clip", x, weights, head, grid)
    return output @ weights.out_weight[:, weights.head_columns(head)].T


# Techniques


def hoyer(token: Array) -> float:
    total = sum(abs(float(value)) for value in token)
    length = math.sqrt(sum(float(value) ** 2 for value in token))
    if length == 0:
        return 0.0
    root = math.sqrt(len(token))
    return (root - total / length) / (root - 1)


def judge(patches: Array, threshold: float) -> list[bool]:
    return [hoyer(token) > threshold for token in patches]


def replace(patches: Array, grid: Grid, settings: AtrSettings, abnormal: list[bool]) -> Array:
    """ATR on one image."""
    rows, columns = grid
    result = patches.copy()
    for y in range(rows):
        for x in range(columns):
            if not abnormal[y * columns + x]:
                continue
            mixed, total = np.zeros(patches.shape[1]), 0.0
            for other_y in range(max(0, y - 1), min(rows, y + 2)):
                for other_x in range(max(0, x - 1), min(columns, x + 2)):
                    if abnormal[other_y * columns + other_x]:
                        continue
                    squared = (other_y - y) ** 2 + (other_x - x) ** 2
                    weight = math.exp(-squared / (2 * settings.sigma**2))
                    mixed += weight * patches[other_y * columns + other_x]
                    total += weight
            if total == 0 and settings.surrounded == "keep":
                continue
            if total > 0 and settings.normalised:
                mixed /= total
            result[y * columns + x] = mixed
    return result


def affinity(features: Array, settings: SheSettings) -> Array:
    """Norm(S_β) of one image from X_topk."""
    if settings.centred:
        features = features - features.mean(axis=0)
    count = len(features)
    kept = np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            lengths = float(np.linalg.norm(features[i]) * np.linalg.norm(features[j]))
            cosine = float(features[i] @ features[j]) / lengths if lengths else 0.0
            if i == j:
                kept[i, j] = 1.0
            elif cosine >= settings.beta:
                kept[i, j] = cosine
    for k in range(count):
        if settings.normalise == "column":
            kept[:, k] /= kept[:, k].sum()
        else:
            kept[k, :] /= kept[k, :].sum()
    return kept


def enhance(
    patches: Array,
    contributions: list[Array],
    grid: Grid,
    settings: SheSettings,
    atr: AtrSettings,
    abnormal: list[bool],
) -> Array:
    """SHE on one image; one contribution a head."""
    mean = np.zeros_like(contributions[0])
    for features in contributions:
        if settings.atr == "own":
            features = replace(features, grid, atr, judge(features, atr.threshold))
        elif settings.atr == "residual":
            features = replace(features, grid, atr, abnormal)
        if settings.unit_heads:
            features = np.stack(
                [row / np.linalg.norm(row) if row.any() else row for row in features]
            )
        mean += features / len(contributions)
    weights = affinity(mean, settings)
    result = np.zeros_like(patches)
    for i in range(len(patches)):
        for j in range(len(patches)):
            result[i] += weights[i, j] * patches[j]
    return result


# The tower


def layer_norm(x: Array, tensors: Mapping[str, Tensor], prefix: str) -> Array:
    weight, bias = array(tensors[f"{prefix}.weight"]), array(tensors[f"{prefix}.bias"])
    result = np.empty_like(x)
    for i, row in enumerate(x):
        centred = row - row.mean()
        result[i] = centred / math.sqrt((centred**2).mean() + 1e-5) * weight + bias
    return result


def mlp(x: Array, tensors: Mapping[str, Tensor], prefix: str) -> Array:
    expand, contract = f"{prefix}.expand", f"{prefix}.contract"
    hidden = x @ array(tensors[f"{expand}.weight"]).T + array(tensors[f"{expand}.bias"])
    hidden = hidden / (1 + np.exp(-1.702 * hidden))  # quick GELU
    return hidden @ array(tensors[f"{contract}.weight"]).T + array(tensors[f"{contract}.bias"])


def embed(image: Array, model: Clip, grid: Grid) -> Array:
    """X^0 of one image (3, height, width)."""
    tensors, side = model.vision.state_dict(), model.config.vision.patch_size
    weight = array(tensors["patch_embedding.weight"])
    tokens = [array(tensors["class_embedding"])]
    for y in range(grid[0]):
        for x in range(grid[1]):
            patch = image[:, y * side : (y + 1) * side, x * side : (x + 1) * side]
            tokens.append(weight @ patch.reshape(-1))
    positions = array(positions_for_grid(tensors["positions"], grid))
    return layer_norm(np.stack(tokens) + positions, tensors, "pre_norm")


def encode(
    pixels: Tensor, model: Clip, *, method: str, lht: LhtSettings, residual: bool, mlp_kept: bool
) -> Array:
    """Patch embeddings of unit length, (batch, rows, columns, E)."""
    return np.stack(
        [
            encode_one(array(image), model, method, lht, residual=residual, mlp_kept=mlp_kept)
            for image in pixels
        ]
    )


def encode_one(
    image: Array, model: Clip, method: str, lht: LhtSettings, *, residual: bool, mlp_kept: bool
) -> Array:
    config, tensors = model.config.vision, model.vision.state_dict()
    grid = (image.shape[1] // config.patch_size, image.shape[2] // config.patch_size)
    last = config.num_hidden_layers

    def attention_of(layer: int) -> AttentionWeights:
        prefix = f"blocks.{layer - 1}.attention."
        return AttentionWeights.of(tensors, prefix, config.num_attention_heads)

    x = embed(image, model, grid)
    written: dict[tuple[int, int], Array] = {}  # X_{l,h} of the patches
    for layer in range(1, last):
        block = f"blocks.{layer - 1}"
        alpha = lht.ssr.alpha if lht.ssr is not None and layer in lht.ssr.layers else 0.0
        normed = layer_norm(x, tensors, f"{block}.norm1")
        for head in range(1, config.num_attention_heads + 1):
            head_features = contribution(normed, attention_of(layer), head - 1, grid)
            written[layer, head] = head_features[1:]
        update = attention("clip", normed, attention_of(layer), grid)
        x = (1 + alpha) * x + (1 - alpha) * update
        update = mlp(layer_norm(x, tensors, f"{block}.norm2"), tensors, f"{block}.mlp")
        x = (1 + alpha) * x + (1 - alpha) * update
    atr = lht.atr or AtrSettings()
    abnormal = judge(x[1:], atr.threshold)
    if lht.atr is not None:
        x[1:] = replace(x[1:], grid, atr, abnormal)
    if lht.she is not None:
        chosen = [written[head] for head in lht.she.heads]
        x[1:] = enhance(x[1:], chosen, grid, lht.she, atr, abnormal)
    block = f"blocks.{last - 1}"
    update = attention(method, layer_norm(x, tensors, f"{block}.norm1"), attention_of(last), grid)
    x = x + update if residual else update
    if mlp_kept:
        x = x + mlp(layer_norm(x, tensors, f"{block}.norm2"), tensors, f"{block}.mlp")
    embeddings = layer_norm(x, tensors, "final_norm") @ array(tensors["projection.weight"]).T
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (embeddings / lengths)[1:].reshape(*grid, -1)
