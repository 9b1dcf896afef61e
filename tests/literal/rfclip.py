"""RF-CLIP on one image, as released and as its paper describes it: one patch at a time."""

from __future__ import annotations

import numpy as np

from tests.literal.basics import Array, Grid, layer_norm, mlp, softmax
from tests.literal.inside import Inside, lengthless
from tests.literal.self_attention import AttentionWeights, attention, taken


def shares(token: Array) -> Array:
    above = token - min(token)
    return above / sum(above)


def channels_of(patches: Array, given: tuple[int, ...]) -> list[int]:
    if given:
        return list(given)
    mean = np.mean([shares(patch) for patch in patches], axis=0)
    return sorted(range(len(mean)), key=lambda j: -mean[j])[:8]


def abnormal(patches: Array, given: tuple[int, ...], excess: float) -> list[bool]:
    chosen = channels_of(patches, given)
    limit = excess / patches.shape[1]
    return [max(shares(patch)[j] for j in chosen) > limit for patch in patches]


def around(i: int, grid: Grid) -> list[int]:
    """The neighbours of patch i inside the grid, without itself."""
    y, x = divmod(i, grid[1])
    return [
        row * grid[1] + column
        for row in range(max(0, y - 1), min(grid[0], y + 2))
        for column in range(max(0, x - 1), min(grid[1], x + 2))
        if (row, column) != (y, x)
    ]


# As released


def mend(
    patches: Array, grid: Grid, given: tuple[int, ...] = (), excess: float = 5.0, share: float = 0.4
) -> Array:
    result = patches.copy()
    for i, found in enumerate(abnormal(patches, given, excess)):
        if found:
            mean = (patches[i] + sum(patches[j] for j in around(i, grid))) / 9
            result[i] = (1 - share) * patches[i] + share * mean
    return result


def keys_look_up(inside: Inside, stream: Array) -> list[Array]:
    """A V of every head, A the mean over layers without the class token."""
    depth, prefix, last = inside.depth, inside.prefix, inside.attention(inside.depth)
    outputs: list[Array] = []
    for head in range(inside.heads):
        values = last.project(inside.norm(stream, depth), head)[2]
        values[:prefix] = 0
        rows = np.zeros_like(values)
        for layer in range(1, depth + 1):
            x = inside.norm(stream, depth) if layer == depth else inside.normed(layer)
            keys = inside.attention(layer).project(x, head)[1]
            for i, key in enumerate(keys):
                weights = softmax(np.array([key @ other for other in keys]) / last.width**0.5)
                rows[i] += taken(weights, values) / depth
        outputs.append(rows)
    return outputs


def rfclip(
    inside: Inside, given: tuple[int, ...] = (), share: float = 0.4, beta: float = 0.4
) -> Array:
    depth, prefix, x = inside.depth, inside.prefix, inside.streams[-1]
    block = str(depth - 1)
    leaving = x + attention("clip", inside.normed(depth), inside.attention(depth), inside.grid)
    normed = layer_norm(leaving, inside.tensors, f"{block}.norm2")
    leaving = leaving + mlp(normed, inside.tensors, f"{block}.mlp")
    leaving[prefix:] = mend(leaving[prefix:], inside.grid, given, inside.excess, share)
    guide = np.sum([*inside.streams[1:], leaving], axis=0) / depth
    unit = lengthless(guide[prefix:])
    outputs: list[Array] = []
    for stream in (x, guide):
        spread = stream.copy()
        for i, one in enumerate(unit):
            similar = [float(one @ other) for other in unit]
            spread[prefix + i] = np.sum(
                [s * stream[prefix + j] for j, s in enumerate(similar) if s >= beta or i == j],
                axis=0,
            )
        outputs.append(inside.attention(depth).merge(keys_look_up(inside, spread)))
    return (outputs[0] + outputs[1]) / 2


# As the paper describes it


def cut(similar: Array) -> list[bool]:
    if len(similar) == 1:
        return [False]
    weights = (similar + similar.T) / 2
    degree = np.diag(weights.sum(axis=1))
    values, vectors = np.linalg.eig(np.linalg.inv(degree) @ (degree - weights))
    second = np.real(vectors[:, np.argsort(np.real(values))[1]])
    if second[np.abs(second).argmax()] < 0:
        second = -second
    return [entry > second.mean() for entry in second]


def refocused(
    x: Array,
    normed: Array,
    weights: AttentionWeights,
    prefix: int,
    given: tuple[int, ...] = (),
    excess: float = 5.0,
    beta: float = 0.7,
) -> list[Array]:
    """A V of every head of a block before the last one."""
    projected = [weights.project(normed, head) for head in range(weights.heads)]
    scale = weights.width**-0.5
    similar = np.mean(
        [
            [softmax(scale * keys @ key)[prefix:] for key in keys[prefix:]]
            for _, keys, _ in projected
        ],
        axis=0,
    )
    distractors = abnormal(x[prefix:], given, excess)
    defocused = [side and not bad for side, bad in zip(cut(similar), distractors, strict=True)]
    outputs: list[Array] = []
    for queries, keys, values in projected:
        rows = [softmax(scale * keys @ query) for query in queries]
        for row in rows[prefix:]:
            budget, total = 0.0, sum(row[prefix + j] for j, gets in enumerate(defocused) if gets)
            if total == 0:
                continue
            before = row.copy()
            for j, bad in enumerate(distractors):
                if bad:
                    budget += beta * before[prefix + j]
                    row[prefix + j] *= 1 - beta
            for j, gets in enumerate(defocused):
                if gets:
                    row[prefix + j] += budget * before[prefix + j] / total
        outputs.append(np.stack([taken(row, values) for row in rows]))
    return outputs


def mend_channels(
    patches: Array, entered: Array, grid: Grid, given: tuple[int, ...] = (), excess: float = 5.0
) -> Array:
    result = patches.copy()
    for i, found in enumerate(abnormal(entered, given, excess)):
        near = around(i, grid)
        for j in channels_of(entered, given) if found else ():
            result[i, j] = sum(patches[other, j] for other in near) / max(len(near), 1)
    return result


def rfclip_paper(inside: Inside) -> Array:
    return inside.attention(inside.depth).merge(keys_look_up(inside, inside.streams[-1]))
