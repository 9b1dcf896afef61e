"""Paint the backgrounds of the training scenes: procedural textures with everyday names.

Every painter draws its colours, scale, direction and phase from the generator, so that a material
is defined by what its images have in common. Sizes are in pixels, chosen for patches of 16 pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lhtclip.errors import unknown
from training.textures import (
    Picture,
    axes,
    finish,
    hashed,
    mix,
    noise,
    pebbles,
    ramp,
    rim,
    speckle,
    step,
    tint,
    two_colours,
)

Painter = Callable[[np.random.Generator, int, int], Picture]


def paint(name: str, generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint one image of a material.

    Args:
        name: A key of `MATERIAL_PAINTERS`.
        generator: Source of all variety; the same state gives the same image.
        height: In pixels.
        width: In pixels.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        UnknownNameError: There is no such material.
    """
    if name not in MATERIAL_PAINTERS:
        raise unknown("material", name, MATERIAL_PAINTERS)
    return MATERIAL_PAINTERS[name](generator, height, width)


def paint_grass(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint upright blades, light on dark, with yellower clumps."""
    blades = noise(generator, height, width, (generator.uniform(7, 12), 2.0))
    tufts = noise(generator, height, width, (14, 5))
    clumps = noise(generator, height, width, (40, 60))
    dark = tint(generator, (0.28, 0.75, 0.30))
    light = tint(generator, (0.25, 0.70, 0.68))
    dry = tint(generator, (0.19, 0.65, 0.72))
    colours = mix(dark, mix(light, dry, 0.5 * step(clumps, -0.2, 1.0)), ramp(blades + 0.5 * tufts))
    return finish(generator, colours)


def paint_water(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint long ripples with bright crests on blue."""
    warp = noise(generator, height, width, (18, 40))
    _, across = axes(generator, height, width, generator.uniform(-0.25, 0.25))
    waves = np.sin(across * (2 * np.pi / generator.uniform(9, 15)) + 3.5 * warp)
    swell = noise(generator, height, width, (30, 70))
    deep = tint(generator, (generator.uniform(0.53, 0.61), 0.85, 0.55))
    shallow = tint(generator, (generator.uniform(0.50, 0.56), 0.65, 0.85))
    colours = mix(deep, shallow, ramp(0.7 * waves + 0.6 * swell))
    crests = step(waves + 0.6 * noise(generator, height, width, (5, 12)), 0.95, 1.35)
    return finish(generator, mix(colours, (0.93, 0.99, 1.0), 0.8 * crests))


def paint_sand(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint fine grain over faint wind ripples."""
    warp = noise(generator, height, width, (35, 35))
    along, _ = axes(generator, height, width, generator.uniform(0, np.pi))
    ripples = np.sin(along * (2 * np.pi / generator.uniform(16, 26)) + 2.5 * warp)
    grain = speckle(generator, height, width)
    dark = tint(generator, (0.10, 0.42, 0.74))
    light = tint(generator, (0.12, 0.30, 0.97))
    return finish(generator, mix(dark, light, ramp(0.35 * ripples + 0.9 * grain)))


def paint_brick_wall(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint courses of red bricks, each shifted by half a brick, in pale mortar."""
    course = generator.uniform(11, 17)
    x, y = axes(generator, height, width, generator.normal(0, 0.02))
    row = np.floor(y / course)
    along = x / (course * generator.uniform(2.0, 2.5)) + 0.5 * (row % 2)
    length = course * 2.25
    edge = np.minimum(rim(y / course) * course, rim(along) * length)
    tone = hashed(np.floor(along), row) + 0.25 * speckle(generator, height, width)
    dark = tint(generator, (0.01, 0.68, 0.50))
    light = tint(generator, (0.04, 0.60, 0.78))
    mortar = tint(generator, (0.09, 0.10, 0.82))
    return finish(generator, mix(mortar, mix(dark, light, ramp(tone)), step(edge, 0.7, 1.7)))


def paint_wooden_planks(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint boards side by side with grain along them and dark gaps between."""
    upright = generator.random() < 0.5
    rows, columns = (width, height) if upright else (height, width)
    board = generator.uniform(18, 30)
    x, y = axes(generator, rows, columns, generator.normal(0, 0.01))
    row = np.floor(y / board)
    along = x / generator.uniform(110, 170) + hashed(row, row + 3)
    tone = hashed(np.floor(along), row)
    warp = noise(generator, rows, columns, (9, 60))
    rings = np.sin(y * (2 * np.pi / 6.5) + 4.5 * warp + 6 * tone)
    grain = 0.45 * rings + 0.5 * noise(generator, rows, columns, (1.6, 26))
    dark = tint(generator, (0.065, 0.68, 0.42))
    light = tint(generator, (0.085, 0.52, 0.80))
    edge = np.minimum(rim(y / board) * board, rim(along) * 140)
    boards = mix(dark, light, ramp(0.75 * tone + 0.7 * grain))
    colours = mix((0.16, 0.09, 0.05), boards, step(edge, 0.4, 1.6))
    return finish(generator, colours.transpose(1, 0, 2) if upright else colours)


def paint_cloudy_sky(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint soft white clouds on a blue that pales downwards."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    high = tint(generator, (0.585, 0.68, 0.86))
    low = tint(generator, (0.56, 0.35, 0.97))
    scale = generator.uniform(0.7, 1.2)
    puffs = sum(
        noise(generator, height, width, (34 * scale / 2**k, 56 * scale / 2**k)) / 1.8**k
        for k in range(4)
    )
    cover = step(np.asarray(puffs), generator.uniform(-0.25, 0.15), 1.1)
    colours = mix(high, low, np.broadcast_to(down, (height, width)))
    return finish(generator, mix(colours, (0.98, 0.98, 1.0), 0.95 * cover))


def paint_night_sky(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint stars of many sizes over dark blue with a violet haze."""
    haze = noise(generator, height, width, (60, 60)) + 0.5 * noise(
        generator, height, width, (20, 20)
    )
    dark = tint(generator, (0.64, 0.75, 0.13))
    violet = tint(generator, (generator.uniform(0.62, 0.78), 0.60, 0.36))
    stars = np.zeros((height + 2, width + 2), np.float32)
    count = round(height * width / generator.uniform(90, 150))
    rows, columns = (
        generator.integers(1, height + 1, count),
        generator.integers(1, width + 1, count),
    )
    glow = generator.uniform(0.35, 1.0, count) ** 2
    stars[rows, columns] = np.maximum(glow, 0.3)
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        stars[rows + down, columns + right] += 0.55 * glow * (glow > 0.4)
    colours = mix(dark, violet, step(haze, -0.4, 1.3))
    return finish(generator, mix(colours, (1.0, 0.98, 0.88), np.minimum(stars[1:-1, 1:-1], 1)))


def paint_snow(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint white drifts with long bluish shadows, crumbs and a few sparkles."""
    warp = noise(generator, height, width, (30, 60))
    _, across = axes(generator, height, width, generator.uniform(-0.5, 0.5))
    drifts = np.sin(across * (2 * np.pi / generator.uniform(26, 44)) + 2.2 * warp)
    crumbs = noise(generator, height, width, (3, 4))
    shade = tint(generator, (0.60, 0.24, 0.80))
    light = tint(generator, (0.58, 0.02, 0.97))
    colours = mix(shade, light, ramp(0.6 * drifts + 0.35 * crumbs + 0.5))
    sparkles = step(speckle(generator, height, width), 2.3, 2.6)
    return finish(generator, mix(colours, (1.0, 1.0, 1.0), sparkles), strength=0.5)


def paint_cobblestones(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint rounded grey stones, lit from above, with dark joints."""
    size = generator.uniform(17, 26)
    near, gap, tone, lift = pebbles(generator, height, width, size)
    joint = tint(generator, (0.09, 0.25, 0.20))
    dark = tint(generator, (generator.uniform(0.05, 0.65), 0.07, 0.42))
    light = tint(generator, (0.10, 0.06, 0.78))
    grain = 0.3 * speckle(generator, height, width)
    shade = ramp(0.8 * tone - 0.7 * lift - 0.5 * near + 0.3 + grain)
    return finish(generator, mix(joint, mix(dark, light, shade), step(gap, 0.05, 0.22)))


def paint_gravel(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint small pebbles of brown, cream and slate."""
    size = generator.uniform(6, 9)
    near, gap, tone, lift = pebbles(generator, height, width, size)
    warm = mix(tint(generator, (0.07, 0.45, 0.45)), tint(generator, (0.10, 0.22, 0.92)), ramp(tone))
    slate = tint(generator, (0.60, 0.14, 0.52))
    stones = mix(warm, slate, (np.abs(tone) < 0.3).astype(np.float32))
    shade = np.clip(1.0 - 0.3 * lift - 0.3 * near, 0, 1.25)
    lit = stones * shade[..., None].astype(np.float32)
    return finish(generator, mix((0.17, 0.12, 0.09), lit, step(gap, 0.02, 0.3)))


def paint_marble(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint pale polished stone, clouded, with a slanting net of thin and thick veins."""
    along, _ = axes(generator, height, width, generator.uniform(0, np.pi))
    clouds = noise(generator, height, width, (50, 50))
    wander = clouds + 0.4 * noise(generator, height, width, (18, 18))
    wander = wander + 0.15 * noise(generator, height, width, (6, 6))
    thick = np.abs(np.sin(along * (np.pi / generator.uniform(50, 80)) + 1.0 * wander))
    thin = np.abs(np.sin(along * (np.pi / generator.uniform(26, 40)) - 1.3 * wander))
    hue = generator.choice([0.02, 0.10, 0.40, 0.58])
    light = tint(generator, (hue, 0.09, 0.90))
    vein = tint(generator, (hue, 0.25, 0.36))
    width_of_thick = 0.16 + 0.12 * ramp(clouds)
    depth = 0.8 * (1 - step(thick / width_of_thick, 0.0, 1.8)) + 0.5 * (1 - step(thin, 0.0, 0.16))
    return finish(generator, mix(light, vein, np.minimum(depth + 0.22 * ramp(wander), 1)))


def paint_lava(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint black crust split by glowing cracks."""
    size = generator.uniform(26, 38)
    _, gap, tone, _ = pebbles(generator, height, width, size, warp=0.22)
    rough = noise(generator, height, width, (6, 6))
    heat = 1 - step(gap + 0.04 * rough, 0.02, 0.40)
    crust = mix((0.09, 0.05, 0.05), (0.30, 0.16, 0.13), ramp(0.5 * tone + 0.8 * rough))
    glow = tint(generator, (0.02, 0.95, 0.90))
    core = tint(generator, (0.13, 0.75, 1.0))
    return finish(generator, mix(mix(crust, glow, step(heat, 0.0, 0.6)), core, step(heat, 0.55, 1)))


def paint_carpet(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint woven wool with a lattice of nested diamonds."""
    period = generator.uniform(24, 36)
    x, y = axes(generator, height, width, generator.choice([0.0, np.pi / 2]))
    lattice = rim(x / period) + rim(y / period)
    ground = tint(generator, (generator.choice([0.97, 0.0, 0.62, 0.47, 0.80]), 0.72, 0.48))
    figure = tint(generator, (generator.uniform(0.08, 0.13), 0.55, 0.85))
    centre = tint(generator, (generator.uniform(0.0, 1.0), 0.60, 0.35))
    colours = mix(ground, figure, step(np.abs(lattice - 0.5), 0.13, 0.09))
    colours = mix(colours, figure, step(np.abs(lattice - 0.05), 0.11, 0.07))
    colours = mix(colours, centre, step(lattice, 0.80, 0.84))
    weave = np.sin(x * 2.1) * np.sin(y * 2.1) + 0.6 * speckle(generator, height, width)
    return finish(generator, colours * (0.9 + 0.2 * weave[..., None]).astype(np.float32))


def paint_stripes(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint straight bands of two flat colours in any direction."""
    period = generator.uniform(11, 22)
    along, _ = axes(generator, height, width, generator.uniform(0, np.pi))
    first, second = two_colours(generator)
    offset = period * (rim(along / period) - 0.25)
    return finish(generator, mix(first, second, step(offset, -0.6, 0.6)))


def paint_polka_dots(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint round dots on a slanted grid."""
    period = generator.uniform(14, 24)
    x, y = axes(generator, height, width, np.pi / 4 + generator.normal(0, 0.1))
    distance = period * np.hypot(0.5 - rim(x / period), 0.5 - rim(y / period))
    first, second = two_colours(generator)
    outside = distance - period * generator.uniform(0.27, 0.34)
    return finish(generator, mix(second, first, step(outside, -0.6, 0.6)))


def paint_checkerboard(generator: np.random.Generator, height: int, width: int) -> Picture:
    """Paint alternating squares of two flat colours."""
    period = 2 * generator.uniform(8, 14)
    x, y = axes(generator, height, width, generator.normal(0, 0.12))
    waves = np.sin(x * (2 * np.pi / period)) * np.sin(y * (2 * np.pi / period))
    first, second = two_colours(generator)
    return finish(generator, mix(first, second, step(waves, -0.06, 0.06)))


MATERIAL_PAINTERS: dict[str, Painter] = {
    "grass": paint_grass,
    "water": paint_water,
    "sand": paint_sand,
    "brick wall": paint_brick_wall,
    "wooden planks": paint_wooden_planks,
    "cloudy sky": paint_cloudy_sky,
    "night sky": paint_night_sky,
    "snow": paint_snow,
    "cobblestones": paint_cobblestones,
    "gravel": paint_gravel,
    "marble": paint_marble,
    "lava": paint_lava,
    "carpet": paint_carpet,
    "stripes": paint_stripes,
    "polka dots": paint_polka_dots,
    "checkerboard": paint_checkerboard,
}
