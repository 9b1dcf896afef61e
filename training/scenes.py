"""Scenes of emoji on painted backgrounds: what is where, and the picture of it, in batches.

A `Layout` is drawn from a seeded generator on the CPU; `render` turns it into pixels and labels on
any device. Label i < len(THINGS) is a thing; len(THINGS) + j is material j.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from training.materials import paint
from training.words import MATERIALS, THINGS

HELD_OUT_REMAINDER = 3  # pairs of things with (i + j) % 10 equal to this never meet in training
EMPTY_SHARE = 0.04  # scenes of background alone


def held_out_pair(first: int, second: int) -> bool:
    """Whether two things are kept apart in training, so that tests can show them together."""
    return (first + second) % 10 == HELD_OUT_REMAINDER


@dataclass(frozen=True, slots=True)
class Placement:
    """One object: which sprite, where its centre lies, how large, turned and tinted."""

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
    unseen_pairs: bool = False,
) -> Scene:
    """Draw what a scene holds.

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
        unseen_pairs: Only pairs that training keeps apart, instead of only those it does not.
    """
    count = int(generator.integers(objects[0], objects[1] + 1))
    if generator.random() < empty_share:
        count = 0
    things = _sample_things(generator, count, unseen_pairs=unseen_pairs)
    placements: list[Placement] = []
    for thing in things:
        size = float(np.exp(generator.uniform(*np.log(sizes))))
        placements.append(
            Placement(
                thing=thing,
                style=int(generator.choice(np.flatnonzero(drawn[:, thing]))),
                centre=_free_centre(generator, size, height, width, placements),
                size=size,
                angle=float(generator.normal(0.0, 0.35)),
                mirrored=bool(generator.random() < 0.5),
                tint=tuple(generator.uniform(0.8, 1.15, 3).tolist()),
                saturation=float(generator.uniform(0.6, 1.3)),
            )
        )
        if varied:
            placements[-1] = _vary(generator, placements[-1])
    return Scene(
        material=int(generator.integers(len(MATERIALS))),
        tile=int(generator.integers(tiles)),
        corner=(float(generator.random()), float(generator.random())),
        brightness=float(generator.uniform(0.8, 1.15)),
        objects=tuple(placements),
    )


def _vary(generator: np.random.Generator, placement: Placement) -> Placement:
    return replace(
        placement,
        stretch=float(np.exp(generator.normal(0.0, 0.15))),
        shear=float(generator.normal(0.0, 0.15)),
        mixing=tuple(generator.normal(0.0, 0.12, 9).tolist()),
    )


def _sample_things(
    generator: np.random.Generator, count: int, *, unseen_pairs: bool
) -> tuple[int, ...]:
    chosen: list[int] = []
    while len(chosen) < count:
        thing = int(generator.integers(len(THINGS)))
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
    """Try a few places and take the one that overlaps least with what is there already."""
    margin = 0.3 * size
    best, least = (width / 2, height / 2), float("inf")
    for _ in range(6):
        x = float(generator.uniform(min(margin, width / 2), max(width - margin, width / 2)))
        y = float(generator.uniform(min(margin, height / 2), max(height - margin, height / 2)))
        overlap = sum(
            max(0.0, 0.4 * (size + other.size) - np.hypot(x - other.centre[0], y - other.centre[1]))
            for other in placed
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


def render(
    scenes: Sequence[Scene], sprites: Tensor, backgrounds: Tensor, *, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Draw scenes on the device of `sprites`.

    Args:
        scenes: What to draw.
        sprites: uint8 (styles, things, 4, S, S), RGBA.
        backgrounds: uint8 (materials, tiles, 3, T, T), T at least as large as the scene.
        height: Pixels.
        width: Pixels.

    Returns:
        Pixels, float (scenes, 3, height, width) in [0, 1], and labels, int64 (scenes, height,
        width): the topmost object that covers more than half of a pixel, else the material.
    """
    device = sprites.device
    pixels = torch.stack([_background(scene, backgrounds, height, width) for scene in scenes])
    labels = torch.tensor([len(THINGS) + scene.material for scene in scenes], device=device)
    labels = labels[:, None, None].repeat(1, height, width)
    for layer in range(max(len(scene.objects) for scene in scenes)):
        rows = [i for i, scene in enumerate(scenes) if len(scene.objects) > layer]
        placements = [scenes[i].objects[layer] for i in rows]
        colour, cover = _draw(placements, sprites, height, width)
        at = torch.tensor(rows, device=device)
        pixels[at] = pixels[at] * (1 - cover) + colour
        things = torch.tensor([placement.thing for placement in placements], device=device)
        labels[at] = torch.where(cover[:, 0] > 0.5, things[:, None, None], labels[at])
    return pixels.clamp_(0, 1), labels


def _background(scene: Scene, backgrounds: Tensor, height: int, width: int) -> Tensor:
    tile = backgrounds[scene.material, scene.tile]
    top = int(scene.corner[0] * (tile.shape[-2] - height))
    left = int(scene.corner[1] * (tile.shape[-1] - width))
    crop = tile[:, top : top + height, left : left + width]
    return crop.float() * (scene.brightness / 255)


def _draw(
    placements: Sequence[Placement], sprites: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Return premultiplied colour (n, 3, height, width) and cover (n, 1, height, width)."""
    device = sprites.device
    rgba = torch.stack([sprites[p.style, p.thing] for p in placements]).float() / 255
    cover, colour = rgba[:, 3:], rgba[:, :3]
    saturation = torch.tensor([p.saturation for p in placements], device=device)
    tint = torch.tensor([p.tint for p in placements], device=device)
    grey = colour.mean(dim=1, keepdim=True)
    colour = grey + (colour - grey) * saturation[:, None, None, None]
    mixing = torch.tensor([p.mixing for p in placements], device=device).view(-1, 3, 3)
    colour = colour + torch.einsum("noi,nihw->nohw", mixing, colour)
    colour = (colour * tint[:, :, None, None]).clamp(0, 1) * cover
    transforms = torch.tensor([_transform(p, height, width) for p in placements], device=device)
    grid = F.affine_grid(transforms, [len(placements), 4, height, width], align_corners=False)
    drawn = F.grid_sample(torch.cat([colour, cover], 1), grid, align_corners=False)
    return drawn[:, :3], drawn[:, 3:]


def _transform(placement: Placement, height: int, width: int) -> list[list[float]]:
    """Scene coordinates in [-1, 1] to sprite coordinates in [-1, 1]."""
    cos, sin = np.cos(placement.angle), np.sin(placement.angle)
    side = -1.0 if placement.mirrored else 1.0
    rotation = np.array([[side * cos, side * sin], [-sin, cos]]) / (placement.size / 2)
    widen = placement.stretch**0.5
    rotation = np.array([[1 / widen, placement.shear], [0.0, widen]]) @ rotation
    half = np.array([width / 2, height / 2])
    offset = rotation @ (half - np.array(placement.centre))
    return np.column_stack([rotation * half, offset]).astype(np.float32).tolist()
