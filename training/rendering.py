"""Render scenes to pixels and labels, on the device of the sprites.

Each object is drawn into its own small box, boxes of similar size at once, and pasted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from training.scenes import Placement, Scene
from training.words import THINGS

BOX_STEP = 16  # pixels; sides of boxes are multiples of it
HALVED_BELOW = 0.6  # of the sprites' side: smaller objects are drawn from sprites of half the side


def render(
    scenes: Sequence[Scene], sprites: Tensor, backgrounds: Tensor, *, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Draw scenes with their labels.

    Args:
        scenes: What to draw.
        sprites: uint8 (looks, things, 4, S, S), RGBA.
        backgrounds: uint8 (materials, tiles, 3, T, T), T at least as large as the scene.
        height: Pixels.
        width: Pixels.

    Returns:
        Pixels, float (scenes, 3, height, width) in [0, 1], and labels, int64 (scenes, height,
        width): the topmost object that covers more than half of a pixel, else the material.
    """
    labels = torch.tensor([len(THINGS) + scene.material for scene in scenes])
    labels = labels.to(sprites.device)[:, None, None].repeat(1, height, width)
    pixels = _paint(scenes, sprites, backgrounds, labels, height=height, width=width)
    return pixels, labels


def render_pixels(
    scenes: Sequence[Scene], sprites: Tensor, backgrounds: Tensor, *, height: int, width: int
) -> Tensor:
    """Draw scenes like `render`, but without labels; training sees nothing else."""
    return _paint(scenes, sprites, backgrounds, None, height=height, width=width)


def _paint(
    scenes: Sequence[Scene],
    sprites: Tensor,
    backgrounds: Tensor,
    labels: Tensor | None,
    *,
    height: int,
    width: int,
) -> Tensor:
    """Return the pixels, and write the covering objects to `labels`."""
    pixels = torch.stack([_background(scene, backgrounds, height, width) for scene in scenes])
    placements = [(i, p) for i, scene in enumerate(scenes) for p in scene.objects]
    boxes = _draw_all([p for _, p in placements], sprites, height, width)
    for (i, placement), (drawn, left, top) in zip(placements, boxes, strict=True):
        rows, columns = slice(top, top + drawn.shape[1]), slice(left, left + drawn.shape[2])
        pixels[i, :, rows, columns].mul_(drawn[4]).add_(drawn[:3])
        if labels is not None:
            labels[i, rows, columns].masked_fill_(drawn[3] > 0.5, placement.thing)
    return pixels.clamp_(0, 1)


def _background(scene: Scene, backgrounds: Tensor, height: int, width: int) -> Tensor:
    tile = backgrounds[scene.material, scene.tile]
    top = int(scene.corner[0] * (tile.shape[-2] - height))
    left = int(scene.corner[1] * (tile.shape[-1] - width))
    crop = tile[:, top : top + height, left : left + width]
    return crop.float() * (scene.brightness / 255)


def _draw_all(
    placements: Sequence[Placement], sprites: Tensor, height: int, width: int
) -> list[tuple[Tensor, int, int]]:
    """Return each object's box, with its left and top.

    A box is (5, rows, columns): red, green, blue, all premultiplied, cover, and 1 - cover.
    """
    groups: dict[tuple[int, int, bool], list[int]] = {}
    shapes: list[tuple[float, float, float, float]] = []
    for number, placement in enumerate(placements):
        a, b, c, d = shape = _shape(placement)
        across, down = abs(d) + abs(b), abs(a) + abs(c)  # of the inverse, but for the determinant
        reach = 2 * max(across, down) / abs(a * d - b * c) + 2
        side = BOX_STEP * math.ceil(reach / BOX_STEP)
        halved = placement.size < HALVED_BELOW * sprites.shape[-1]
        groups.setdefault((min(side, height), min(side, width), halved), []).append(number)
        shapes.append(shape)
    boxes: list[tuple[Tensor, int, int]] = [(torch.empty(0), 0, 0)] * len(placements)
    for (rows, columns, halved), members in groups.items():
        corners: list[tuple[int, int]] = []
        maps: list[list[float]] = []
        for member in members:
            (x, y), (a, b, c, d) = placements[member].centre, shapes[member]
            left = min(max(round(x - columns / 2), 0), width - columns)
            top = min(max(round(y - rows / 2), 0), height - rows)
            corners.append((left, top))
            x, y = left + columns / 2 - x, top + rows / 2 - y
            maps.append([a * columns / 2, b * rows / 2, a * x + b * y])
            maps.append([c * columns / 2, d * rows / 2, c * x + d * y])
        colour = _coloured([placements[i] for i in members], sprites, halved=halved)
        theta = torch.tensor(maps, device=sprites.device).view(-1, 2, 3)
        grid = F.affine_grid(theta, [len(members), 4, rows, columns], align_corners=False)
        drawn = F.grid_sample(colour, grid, align_corners=False)
        drawn = torch.cat([drawn, 1 - drawn[:, 3:]], dim=1)
        for i, member in enumerate(members):
            boxes[member] = (drawn[i], *corners[i])
    return boxes


def _coloured(placements: Sequence[Placement], sprites: Tensor, *, halved: bool) -> Tensor:
    """Return the sprites in the colours of their objects, premultiplied: float (n, 4, S, S)."""
    device = sprites.device
    looks = torch.tensor([p.style for p in placements], device=device)
    things = torch.tensor([p.thing for p in placements], device=device)
    rgba = sprites[looks, things].float().div_(255)
    rgba[:, :3].mul_(rgba[:, 3:])
    if halved:
        rgba = F.avg_pool2d(rgba, 2)
    saturation = torch.tensor([p.saturation for p in placements], device=device)[:, None, None]
    mixing = torch.tensor([p.mixing for p in placements], device=device).view(-1, 3, 3)
    tint = torch.tensor([p.tint for p in placements], device=device)[:, :, None]
    identity = torch.eye(3, device=device)
    saturate = saturation * identity + (1 - saturation) / 3
    matrix = tint * ((identity + mixing) @ saturate)
    colour = (matrix @ rgba[:, :3].flatten(2)).view_as(rgba[:, :3])
    rgba[:, :3] = torch.minimum(colour.clamp_(min=0), rgba[:, 3:])
    return rgba


def _shape(placement: Placement) -> tuple[float, float, float, float]:
    """Return the matrix from pixels about the centre to the sprite's [-1, 1], row by row."""
    cos, sin = (f(placement.angle) * 2 / placement.size for f in (math.cos, math.sin))
    side = -1.0 if placement.mirrored else 1.0
    widen, shear = placement.stretch**0.5, placement.shear
    return (
        side * cos / widen - shear * sin,
        side * sin / widen + shear * cos,
        -widen * sin,
        widen * cos,
    )
