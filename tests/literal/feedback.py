"""ResCLIP's semantic feedback, one window, one patch, one pair at a time (arXiv 2411.15851)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.literal import pamr
from tests.literal.basics import Array, softmax
from tests.literal.hosts import Inside
from tests.literal.self_attention import attention_row, neighbourhood, taken

Labels = NDArray[np.int64]


def pixel_labels(
    planes: Array,
    image: Array,
    *,
    scale: float,
    threshold: float,
    iterations: int,
    dilations: tuple[int, ...],
) -> Labels:
    """From cosines at the window's size (queries, height, width), unscaled."""
    refined = pamr.refine(planes, image, iterations, dilations)
    labels = np.zeros(refined.shape[1:], dtype=np.int64)
    for place in np.ndindex(labels.shape):
        probabilities = softmax(scale * refined[(slice(None), *place)])
        if probabilities.max() >= threshold:
            labels[place] = probabilities.argmax()
    return labels


def patch_labels(labels: Labels, patch: int) -> Labels:
    height, width = labels.shape
    result = np.zeros((height // patch, width // patch), dtype=np.int64)
    for row, column in np.ndindex(result.shape):
        block = labels[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        counts = Counter(block.ravel().tolist())
        result[row, column] = min(counts, key=lambda label: (-counts[label], label))
    return result


def unbroken(labels: Labels, start: tuple[int, int], end: tuple[int, int]) -> bool:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    for step in range(1, steps + 1):
        row = round(start[0] + (end[0] - start[0]) * step / steps)
        column = round(start[1] + (end[1] - start[1]) * step / steps)
        if labels[row, column] != labels[start]:
            return False
    return True


def unbroken_as_released(labels: Labels, start: tuple[int, int], end: tuple[int, int]) -> bool:
    """As many steps, but each as long as those of the longest segment of the window."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    longest = max(labels.shape) - 1
    for step in range(1, steps + 1):
        row = round(start[0] + (end[0] - start[0]) * step / longest)
        column = round(start[1] + (end[1] - start[1]) * step / longest)
        if labels[row, column] != labels[start]:
            return False
    return True


def belonging(
    labels: Labels,
    sigma: float = 5.0,
    check: Callable[[Labels, tuple[int, int], tuple[int, int]], bool] = unbroken,
) -> Array:
    """F of the patches."""
    places = list(np.ndindex(labels.shape))
    count, farthest = len(places), max(labels.shape) - 1
    alike = np.zeros((count, count))
    for i, start in enumerate(places):
        for j, end in enumerate(places):
            if labels[start] == labels[end]:
                distance = max(abs(start[0] - end[0]), abs(start[1] - end[1]))
                straight = check(labels, start, end)
                alike[i, j] = 1.0 if straight else math.exp(-distance / farthest)
    size = min(count, int(6 * sigma + 1))
    radius = size // 2
    kernel = [math.exp(-(x**2) / (2 * sigma**2)) for x in range(-radius, radius + 1)]
    blurred = np.zeros_like(alike)
    for i in range(count):
        for j in range(count):
            for offset, weight in zip(range(-radius, radius + 1), kernel, strict=True):
                if 0 <= j + offset < count:
                    blurred[i, j] += weight / sum(kernel) * alike[i, j + offset]
        blurred[i] = np.maximum(blurred[i], 0)
        blurred[i] /= blurred[i].sum() + 1e-8
    return blurred / blurred.max()


def second_run(inside: Inside, found: Array, *, base: str, scale: float, share: float) -> Array:
    """What the last block's attention adds with feedback F: RCS with changed scores."""
    x, last, prefix = inside.normed(inside.depth), inside.attention(inside.depth), inside.prefix
    layers = [n for n in range(1, inside.depth) if 5 / 12 < n / inside.depth <= 9 / 12]
    outputs: list[Array] = []
    for head in range(inside.heads):
        queries, keys, values = last.project(x, head)
        features = {"naclip": [keys], "clearclip": [queries], "sclip": [queries, keys]}[base]
        rows: list[Array] = []
        for i in range(len(x)):
            own = np.zeros(len(x))
            for each in features:
                scores = np.zeros(len(x))
                for j in range(len(x)):
                    scores[j] = (
                        scale * (1 - share) * float(each[i] @ each[j]) / math.sqrt(last.width)
                    )
                    if i >= prefix and j >= prefix:
                        scores[j] += scale * share * found[i - prefix, j - prefix]
                    if base == "naclip":
                        scores[j] += neighbourhood(i, j, inside.grid, prefix)
                own += softmax(scores)
            borrowed = np.zeros(len(x))
            for n in layers:
                their_queries, their_keys, _ = inside.attention(n).project(inside.normed(n), head)
                borrowed += attention_row("clip", their_queries, their_keys, i, inside.grid, prefix)
            rows.append(2.0 * (0.7 * own + 0.3 * borrowed / len(layers)))
        outputs.append(np.stack([taken(row, values) for row in rows]))
    return last.merge(outputs)
