"""The three techniques of LHT-CLIP on one image."""

from __future__ import annotations

import math

import numpy as np

from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.she import SheSettings
from tests.literal.basics import Array, Grid


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
