"""The methods that read more of the tower than the last block, on one image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lhtclip.techniques.atr import AtrSettings
from tests.literal.basics import Array, softmax
from tests.literal.inside import Inside, lengthless
from tests.literal.rfclip import rfclip, rfclip_paper
from tests.literal.self_attention import AttentionWeights, attention, attention_row, taken
from tests.literal.techniques import replace


def update(method: str, inside: Inside) -> Array:
    """What the last block's attention adds, by whichever method: (tokens, width)."""
    if method in HOSTS:
        return HOSTS[method](inside)
    x, weights = inside.normed(inside.depth), inside.attention(inside.depth)
    return attention(method, x, weights, inside.grid, prefix=inside.prefix)


# ResCLIP


def resclip(
    inside: Inside,
    base: str = "naclip",
    *,
    scale: float = 2.0,
    share: float = 0.3,
    layers: tuple[int, ...] | None = None,
) -> Array:
    depth = inside.depth
    if layers is None:  # where 6 to 9 are of 12
        layers = tuple(n for n in range(1, depth) if 5 / 12 * depth < n <= 9 / 12 * depth)
    x, last = inside.normed(depth), inside.attention(depth)
    outputs: list[Array] = []
    for head in range(inside.heads):
        queries, keys, values = last.project(x, head)
        maps = [inside.attention(n).project(inside.normed(n), head)[:2] for n in layers]
        rows: list[Array] = []
        for i in range(len(x)):
            own = attention_row(base, queries, keys, i, inside.grid, inside.prefix)
            borrowed = np.mean(
                [attention_row("clip", q, k, i, inside.grid, inside.prefix) for q, k in maps],
                axis=0,
            )
            rows.append(scale * ((1 - share) * own + share * borrowed))
        outputs.append(np.stack([taken(row, values) for row in rows]))
    return last.merge(outputs)


# CLIP Surgery and GEM


def second_stream(
    inside: Inside, added: Callable[[Array, AttentionWeights], Array], blocks: int = 6
) -> Array:
    depth = inside.depth
    start = max(depth - blocks, 0)
    collected = inside.streams[start].copy()
    for layer in range(start + 1, depth + 1):
        if layer == depth and start < depth - 1:
            collected[inside.prefix :] = inside.restore(collected[inside.prefix :])
        collected += added(inside.normed(layer), inside.attention(layer))
    return collected


def surgery_update(x: Array, weights: AttentionWeights) -> Array:
    outputs: list[Array] = []
    for head in range(weights.heads):
        _, _, values = weights.project(x, head)
        scale = 1 / math.sqrt(weights.width)
        scores = [[scale * float(one @ other) for other in values] for one in values]
        outputs.append(np.stack([taken(softmax(np.array(row)), values) for row in scores]))
    return weights.merge(outputs)


def gem_update(x: Array, weights: AttentionWeights) -> Array:
    lengths = [math.sqrt(sum(float(value) ** 2 for value in token)) for token in x]
    temperature = sum(lengths) / len(lengths) / math.sqrt(weights.width)  # τ
    outputs: list[Array] = []
    for head in range(weights.heads):
        projected = weights.project(x, head)
        values = projected[2]
        result = np.zeros_like(values)
        for features in projected:
            unit = lengthless(features)
            smoothed = np.stack([taken(softmax(temperature * unit @ one), unit) for one in unit])
            unit = lengthless(smoothed)
            for i, one in enumerate(unit):
                result[i] += taken(softmax(temperature * unit @ one), values) / 3
        outputs.append(result)
    return weights.merge(outputs)


# SC-CLIP

# Layer of the deep and of the shallow similarity, layers added up, share of the class token; by
# depth of the tower.
LEVELS = {
    5: (3, 1, (1, 2, 3, 4), 0.3),
    12: (9, 4, (4, 5, 6, 7, 8, 9, 10), 0.3),
    24: (17, 7, (9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19), 0.1),
}


def outlying(patches: Array, neighbours: int = 30, share: float = 0.05) -> list[bool]:
    count = len(patches)
    if count == 1:
        return [False]
    k = neighbours if neighbours + 1 < count else count // 2
    nearest: list[list[tuple[float, int]]] = []
    for i in range(count):
        others = [
            (float(((patches[i] - patches[j]) ** 2).sum()), j) for j in range(count) if j != i
        ]
        nearest.append(sorted(others)[:k])
    densities = [k / sum(max(d, near[-1][0]) for d, _ in near) for near in nearest]
    factors = [
        sum(densities[j] for _, j in near) / k / densities[i] for i, near in enumerate(nearest)
    ]
    place = (1 - share) * (count - 1)
    below, above = sorted(factors)[math.floor(place)], sorted(factors)[math.ceil(place)]
    limit = below + (above - below) * (place - math.floor(place))
    return [factor > limit for factor in factors]


def cosines(patches: Array) -> Array:
    unit = lengthless(patches)
    return np.array([[float(one @ other) for other in unit] for one in unit])


def smoothed(patches: Array, similar: Array, beta: float = 0.4) -> Array:
    kept = np.where(similar < beta, 0, similar)
    return np.stack([taken(row / row.sum(), patches) for row in kept])


def scclip(inside: Inside, sharpness: float = 3.0) -> Array:
    depth, prefix = inside.depth, inside.prefix
    deep_layer, shallow_layer, fused_layers, class_share = LEVELS[depth]
    stream, last = inside.streams[depth - 1], inside.attention(depth)
    flagged = outlying(stream[prefix:])
    evenly = AtrSettings(sigma=1e9)
    deep = cosines(replace(inside.streams[deep_layer][prefix:], inside.grid, evenly, flagged))
    shallow = cosines(inside.streams[shallow_layer][prefix:])
    first = smoothed(replace(stream[prefix:], inside.grid, evenly, flagged), deep)
    fused = np.sum([inside.streams[layer] for layer in fused_layers], axis=0)

    mean = deep.mean()
    guide = [
        softmax(
            np.array([sharpness * (value - mean) if value >= mean else -np.inf for value in row])
        )
        for row in deep
    ]
    total = np.zeros_like(first)
    for patches, whole in ((first, stream), (fused[prefix:], fused)):
        outputs: list[Array] = []
        for head in range(inside.heads):
            _, keys, values = last.project(inside.norm(patches, depth), head)
            rows = [
                (attention_row("clearclip", keys, keys, i, inside.grid, prefix) + guide[i]) / 2
                for i in range(len(patches))
            ]
            outputs.append(np.stack([taken(row, values) for row in rows]))
        result = last.merge(outputs)
        if prefix:
            result = result + class_share * whole[0]
        total += smoothed(result, shallow)
    return np.concatenate([stream[:prefix], total])


# PEARL


def pearl(inside: Inside, alpha: float = 0.08, steps: int = 5) -> Array:
    """As released: means weighted by the lengths of the patches' queries, M without weights."""
    x, last = inside.normed(inside.depth), inside.attention(inside.depth)
    outputs: list[Array] = []
    for head in range(inside.heads):
        queries, keys, values = last.project(x, head)
        lengths = [
            0.0 if i < inside.prefix else float(np.linalg.norm(q)) for i, q in enumerate(queries)
        ]
        total = sum(lengths) + 1e-6
        query_mean, key_mean = (
            sum(length / total * each for length, each in zip(lengths, of, strict=True))
            for of in (queries, keys)
        )
        products = np.zeros((last.width, last.width))
        for query, key in zip(queries, keys, strict=True):
            products += np.outer(key - key_mean, query - query_mean)
        rotation = rotation_of(products, steps)
        rows: list[Array] = []
        for query, own in zip(queries, keys, strict=True):
            scores = [
                float(query @ (key @ rotation)) + alpha * float((own - key_mean) @ (key - key_mean))
                for key in keys
            ]
            rows.append(taken(softmax(np.array(scores) / math.sqrt(last.width)), values))
        outputs.append(np.stack(rows))
    return last.merge(outputs)


def rotation_of(matrix: Array, steps: int) -> Array:
    if steps == 0:
        left, _, right = np.linalg.svd(matrix)
        return left @ right
    identity = np.eye(len(matrix))
    norm = np.sqrt(((matrix.T @ matrix) ** 2).sum())
    y, z = matrix.T @ matrix / norm + 1e-6 * identity, identity
    for _ in range(steps):
        y, z = y @ (3 * identity - z @ y) / 2, (3 * identity - z @ y) / 2 @ z
    return matrix @ z / math.sqrt(norm)


HOSTS: dict[str, Callable[[Inside], Array]] = {
    "resclip": resclip,
    "resclip-sclip": lambda inside: resclip(inside, "sclip"),
    "resclip-clearclip": lambda inside: resclip(inside, "clearclip"),
    "clip-surgery": lambda inside: second_stream(inside, surgery_update),
    "gem": lambda inside: second_stream(inside, gem_update),
    "scclip": scclip,
    "pearl": pearl,
    "rfclip": rfclip,
    "rfclip-paper": rfclip_paper,
}
