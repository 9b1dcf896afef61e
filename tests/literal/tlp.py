"""Text-aware label propagation, pixel by pixel (PEARL, arXiv 2603.21528), as released."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tests.literal.basics import Array, softmax

Place = tuple[int, int]


def pooled(planes: Array, grid: int) -> Array:
    """Means over blocks of full-size planes (Q, height, width); what is left over is dropped."""
    height, width = planes.shape[1:]
    tall, wide = max(1, round(height / grid)), max(1, round(width / grid))
    result = np.zeros((len(planes), height // tall, width // wide))
    for q, y, x in np.ndindex(result.shape):
        result[q, y, x] = planes[q, y * tall : (y + 1) * tall, x * wide : (x + 1) * wide].mean()
    return result


def system(
    scores: Array, texts: Array, image: Array, *, pairs: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """C + L as a dense matrix (pixels, pixels), and the diagonal of C (pixels,)."""
    _, rows, columns = scores.shape
    similar = np.array([softmax(row) for row in texts @ texts.T / 0.5]) + 10 * np.eye(len(texts))
    similar /= similar.sum(axis=1, keepdims=True)
    if not pairs:
        similar = np.diag(np.diag(similar))
    chances = {place: softmax(scores[(slice(None), *place)]) for place in np.ndindex(rows, columns)}

    def agree(one: Place, other: Place) -> float:
        return min(max(float(chances[other] @ similar @ chances[one]), 0.0), 1.0)

    trust = np.array(
        [max(chances[place].max(), 0.05) ** 2 * (1 + agree(place, place)) for place in chances]
    )
    grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    matrix = np.diag(trust)
    for step in ((1, 0), (0, 1)):
        pairs_of = [
            ((y, x), (y + step[0], x + step[1]))
            for y in range(rows - step[0])
            for x in range(columns - step[1])
        ]
        changes = {pair: abs(float(grey[pair[0]] - grey[pair[1]])) for pair in pairs_of}
        mean = sum(changes.values()) / max(len(changes), 1) + 1e-6
        for (one, other), change in changes.items():
            weight = min(math.exp(-5 * change / mean) * (1 + agree(one, other)), 1.0)
            i, j = one[0] * columns + one[1], other[0] * columns + other[1]
            matrix[i, i] += weight
            matrix[j, j] += weight
            matrix[i, j] -= weight
            matrix[j, i] -= weight
    return matrix, trust


def propagate(
    scores: Array, texts: Array, image: Array, *, iterations: int, pairs: bool = False
) -> Array:
    """Conjugate gradients from the scores, all prompts as one system."""
    matrix, trust = system(scores, texts, image, pairs=pairs)
    start = scores.reshape(len(scores), -1).T
    found, rest = start.copy(), trust[:, None] * start - matrix @ start
    direction = rest.copy()
    for _ in range(iterations):
        squared = float((rest**2).sum())
        if squared == 0:
            break
        ahead = matrix @ direction
        length = squared / float((direction * ahead).sum())
        found += length * direction
        rest = rest - length * ahead
        direction = rest + float((rest**2).sum()) / squared * direction
    return found.T.reshape(scores.shape)
