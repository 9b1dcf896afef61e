"""Attention, head by head and token by token, and the methods that need no more than that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tests.literal.basics import Array, Grid, array, softmax


@dataclass(frozen=True)
class AttentionWeights:
    """Input projection (3 * width, width): queries, keys, values; output projection; biases."""

    heads: int
    in_weight: Array
    in_bias: Array
    out_weight: Array
    out_bias: Array

    @property
    def width(self) -> int:
        """The head width."""
        return self.out_weight.shape[1] // self.heads

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
        return slice(head * self.width, (head + 1) * self.width)

    def project(self, x: Array, head: int) -> tuple[Array, Array, Array]:
        """Queries, keys and values of one head, each (tokens, head width)."""
        total = self.out_weight.shape[1]
        projected = x @ self.in_weight.T + self.in_bias
        queries, keys, values = (
            projected[:, part * total : (part + 1) * total][:, self.head_columns(head)]
            for part in range(3)
        )
        return queries, keys, values

    def merge(self, heads: list[Array]) -> Array:
        """Concatenated heads times Wo, plus bo."""
        return np.concatenate(heads, axis=1) @ self.out_weight.T + self.out_bias


def neighbourhood(i: int, j: int, grid: Grid, prefix: int) -> float:
    """Ω between two tokens of NACLIP, before whose patches stand so many others."""
    sigma = 5.0
    if i < prefix or j < prefix:
        return 0.0
    row_i, column_i = divmod(i - prefix, grid[1])
    row_j, column_j = divmod(j - prefix, grid[1])
    return math.exp(-((row_i - row_j) ** 2 + (column_i - column_j) ** 2) / (2 * sigma**2))


def attention_row(
    method: str, queries: Array, keys: Array, i: int, grid: Grid, prefix: int
) -> Array:
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
        omega = np.array([neighbourhood(i, j, grid, prefix) for j in range(tokens)])
        return softmax(scores(keys, keys) + omega)
    raise AssertionError(method)


def taken(row: Array, values: Array) -> Array:
    """One row of attention times the values."""
    result = np.zeros(values.shape[1])
    for weight, value in zip(row, values, strict=True):
        result += weight * value
    return result


def head_output(
    method: str, x: Array, weights: AttentionWeights, head: int, grid: Grid, prefix: int
) -> Array:
    """A_h V_h of one image: (tokens, head width)."""
    queries, keys, values = weights.project(x, head)
    rows = [attention_row(method, queries, keys, i, grid, prefix) for i in range(len(x))]
    return np.stack([taken(row, values) for row in rows])


def attention_heads(
    method: str, x: Array, weights: AttentionWeights, grid: Grid, *, prefix: int = 1
) -> list[Array]:
    return [head_output(method, x, weights, head, grid, prefix) for head in range(weights.heads)]


def attention(
    method: str, x: Array, weights: AttentionWeights, grid: Grid, *, prefix: int = 1
) -> Array:
    return weights.merge(attention_heads(method, x, weights, grid, prefix=prefix))


def contribution(output: Array, weights: AttentionWeights, head: int) -> Array:
    """X_{l,h} = A_h V_h W_{o,h}, without bias; the head is 0-based here."""
    return output @ weights.out_weight[:, weights.head_columns(head)].T
