"""Compose scenes of emoji on painted backgrounds, from a seeded generator.

`training.rendering` turns them into pixels and labels. Label i < len(THINGS) is a thing;
len(THINGS) + j is material j.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.materials import paint
from training.words import MATERIALS

HELD_OUT_REMAINDER = 3  # pairs of things with (i + j) % 10 equal to this never meet in training
EMPTY_SHARE = 0.04  # scenes of background alone
FINISHED_SHARE = 0.25  # objects that do not keep the finish of their style


def held_out_pair(first: int, second: int) -> bool:
    """Return whether two things never meet in training, so that tests can show them together."""
    return (first + second) % 10 == HELD_OUT_REMAINDER


@dataclass(frozen=True, slots=True)
class Placement:
    """One object: its sprite, centre, size, rotation and tint."""

    thing: int
    style: int
    centre: tuple[float, float]  # x, y in pixels
    size: float  # longest side in pixels
    angle: float  # radians
    mirrored: bool
    tint: tuple[float, float, float]  # gain of red, green, blue
    saturation: float  # 0 grey, 1 as drawn
    stretch: float = 1.0  # width over height, 1 as drawn
    shear: float = 0.0
    mixing: tuple[float, ...] = (0.0,) * 9  # added to the identity that maps RGB to RGB


@dataclass(frozen=True, slots=True)
class Scene:
    """A background and the objects on it, the last one on top."""

    material: int
    tile: int
    corner: tuple[float, float]  # of the crop in the tile, as shares of the free space
    brightness: float
    objects: tuple[Placement, ...]


def sample_scene(
    generator: np.random.Generator,
    *,
    height: int,
    width: int,
    objects: tuple[int, int],
    sizes: tuple[float, float],
    drawn: NDArray[np.bool_],
    tiles: int,
    empty_share: float = EMPTY_SHARE,
    varied: bool = False,
    finishes: int = 1,
    unseen_pairs: bool = False,
    topic: tuple[int, tuple[int, ...]] | None = None,
) -> Scene:
    """Draw the content of a scene.

    Args:
        generator: Source of all randomness.
        height: Pixels.
        width: Pixels.
        objects: Fewest and most objects.
        sizes: Smallest and largest longest side of an object in pixels.
        drawn: bool (styles, things), which style draws which thing; see `drawn_things`.
        tiles: Painted tiles there are of each material.
        empty_share: How often to show the background alone.
        varied: Stretch, shear and recolour objects, so that shapes count more than styles.
        finishes: Finishes there are of each style; see `training.finishes`.
        unseen_pairs: Use only pairs that never meet in training, instead of only the others.
        topic: The content of the scene; by default a new `sample_topic`.
    """
    material, things = topic or sample_topic(
        generator, objects, drawn, empty_share=empty_share, unseen_pairs=unseen_pairs
    )
    placements: list[Placement] = []
    for thing in things:
        chance: list[float] = generator.random(7).tolist()
        size = sizes[0] * (sizes[1] / sizes[0]) ** chance[0]
        styles = np.flatnonzero(drawn[:, thing])
        placements.append(
            Placement(
                thing=thing,
                style=int(styles[int(chance[1] * len(styles))]),
                centre=_free_centre(generator, size, height, width, placements),
                size=size,
                angle=0.35 * generator.standard_normal(),
                mirrored=chance[2] < 0.5,
                tint=(0.8 + 0.35 * chance[3], 0.8 + 0.35 * chance[4], 0.8 + 0.35 * chance[5]),
                saturation=0.6 + 0.7 * chance[6],
            )
        )
        if varied:
            placements[-1] = _vary(generator, placements[-1])
        if finishes > 1 and generator.random() < FINISHED_SHARE:
            finish = int(generator.integers(1, finishes))
            style = placements[-1].style + finish * len(drawn)
            placements[-1] = replace(placements[-1], style=style)
    return Scene(
        material=material,
        tile=int(generator.integers(tiles)),
        corner=(float(generator.random()), float(generator.random())),
        brightness=float(generator.uniform(0.8, 1.15)),
        objects=tuple(placements),
    )


def sample_topic(
    generator: np.random.Generator,
    objects: tuple[int, int],
    drawn: NDArray[np.bool_],
    *,
    empty_share: float = EMPTY_SHARE,
    unseen_pairs: bool = False,
) -> tuple[int, tuple[int, ...]]:
    """Draw a material and the things on it; the arguments are those of `sample_scene`."""
    count = int(generator.integers(objects[0], objects[1] + 1))
    if generator.random() < empty_share:
        count = 0
    available: list[int] = np.flatnonzero(drawn.any(axis=0)).tolist()
    things = _sample_things(generator, available, count, unseen_pairs=unseen_pairs)
    return int(generator.integers(len(MATERIALS))), things


def _vary(generator: np.random.Generator, placement: Placement) -> Placement:
    """Stretch, shear and recolour; one object in twelve loses its colours, one in six its hue."""
    drawn: list[float] = generator.standard_normal(12).tolist()
    chance = generator.random()
    mixing = [0.1 * value for value in drawn[:9]]
    if chance < 1 / 6:
        turned = _turn_hue(0.8 * generator.standard_normal())
        mixing = [a + b for a, b in zip(mixing, turned, strict=True)]
    return replace(
        placement,
        stretch=math.exp(0.15 * drawn[9]),
        shear=0.15 * drawn[10],
        saturation=placement.saturation * (0.3 if chance > 11 / 12 else 1.0),
        mixing=tuple(mixing),
    )


def _turn_hue(angle: float) -> tuple[float, ...]:
    """Return, row by row, the rotation of RGB about the axis of greys, less the identity."""
    same, sin = (1 - math.cos(angle)) / 3, math.sin(angle) / math.sqrt(3)
    return (
        -2 * same, same - sin, same + sin,
        same + sin, -2 * same, same - sin,
        same - sin, same + sin, -2 * same,
    )  # fmt: skip


def _sample_things(
    generator: np.random.Generator, available: Sequence[int], count: int, *, unseen_pairs: bool
) -> tuple[int, ...]:
    chosen: list[int] = []
    while len(chosen) < count:
        thing = available[int(generator.integers(len(available)))]
        if thing in chosen:
            continue
        if unseen_pairs:
            # every newcomer forms an unseen pair with the first thing
            if not chosen or held_out_pair(chosen[0], thing):
                chosen.append(thing)
        elif not any(held_out_pair(other, thing) for other in chosen):
            chosen.append(thing)
    return tuple(chosen)


def _free_centre(
    generator: np.random.Generator,
    size: float,
    height: int,
    width: int,
    placed: Sequence[Placement],
) -> tuple[float, float]:
    """Try a few positions and take the one with the least overlap."""
    margin = 0.3 * size
    left, top = min(margin, width / 2), min(margin, height / 2)
    best, least = (width / 2, height / 2), float("inf")
    for across, down in generator.random((6, 2)).tolist():
        x = left + across * (width - 2 * left)
        y = top + down * (height - 2 * top)
        overlap = sum(
            max(0.0, 0.4 * (size + p.size) - math.hypot(x - p.centre[0], y - p.centre[1]))
            for p in placed
        )
        if overlap < least:
            best, least = (x, y), overlap
        if overlap == 0.0:
            break
    return best


def drawn_things(sprites: Tensor) -> NDArray[np.bool_]:
    """Return bool (styles, things): which sprites of (styles, things, 4, S, S) show anything."""
    return (sprites[:, :, 3].amax(dim=(2, 3)) > 0).cpu().numpy()


def paint_tiles(seed: int, *, tiles: int, side: int) -> Tensor:
    """Paint the backgrounds: uint8 (materials, tiles, 3, side, side)."""
    generator = np.random.default_rng(seed)
    painted = [
        [paint(material.name, generator, side, side) for _ in range(tiles)]
        for material in MATERIALS
    ]
    return torch.from_numpy(np.asarray(painted)).permute(0, 1, 4, 2, 3).contiguous()
