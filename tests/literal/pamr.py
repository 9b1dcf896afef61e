"""Pixel-adaptive mask refinement, one pixel and one neighbour at a time (arXiv 2005.08104)."""

from __future__ import annotations

import math
import statistics

import numpy as np

from tests.literal.basics import Array


def neighbours(
    row: int, column: int, shape: tuple[int, int], dilation: int
) -> list[tuple[int, int]]:
    """The eight at this distance; what lies outside is the nearest pixel inside."""
    height, width = shape
    return [
        (min(max(row + y * dilation, 0), height - 1), min(max(column + x * dilation, 0), width - 1))
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        if (y, x) != (0, 0)
    ]


def affinity(image: Array, dilations: tuple[int, ...]) -> Array:
    """Weights (neighbours, height, width) from an image (channels, height, width)."""
    channels, height, width = image.shape
    weights = np.zeros((8 * len(dilations), height, width))
    for row in range(height):
        for column in range(width):
            around = [
                place for d in dilations for place in neighbours(row, column, (height, width), d)
            ]
            scores = np.zeros(len(around))
            for channel in image:
                own = float(channel[row, column])
                values = [float(channel[place]) for place in around]
                deviation = statistics.stdev(values + [own] * len(dilations))
                scores -= [abs(own - x) / (1e-8 + 0.1 * deviation) / channels for x in values]
            powers = [math.exp(score) for score in scores]
            weights[:, row, column] = np.array(powers) / sum(powers)
    return weights


def refine(planes: Array, image: Array, iterations: int, dilations: tuple[int, ...]) -> Array:
    """Refine planes (planes, height, width) along the edges of an image of their size."""
    weights = affinity(image, dilations)
    _, height, width = planes.shape
    for _ in range(iterations):
        after = np.zeros_like(planes)
        for row in range(height):
            for column in range(width):
                around = [
                    place
                    for d in dilations
                    for place in neighbours(row, column, (height, width), d)
                ]
                for weight, place in zip(weights[:, row, column], around, strict=True):
                    after[:, row, column] += weight * planes[(slice(None), *place)]
        planes = after
    return planes
