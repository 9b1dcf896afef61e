"""Scenes for tests and calibration: rendered to files with exact labels and candidate classes.

`python -m training.held_out --artwork node_modules --out runs/held-out` writes 240 test scenes in
the artwork styles that training never sees.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lhtclip.datasets.scene_files import save_scenes
from training.artwork import STYLES, load_sprites
from training.recipe import HELD_OUT_STYLES, SHIPPED_STYLES, SPRITE_SIDE, TRAINING_STYLES
from training.rendering import render
from training.scenes import drawn_things, paint_tiles, sample_scene
from training.words import MATERIALS, THINGS

HEIGHT, WIDTH = 336, 448  # pixels
CANDIDATES = 10
TILES = 4
Picture = tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[tuple[str, ...], ...]]
TEST_SEED, SHIPPED_SEED, CALIBRATION_SEED = 20_001, 20_002, 20_003  # none of them trained on


GROUPS = {"training": TRAINING_STYLES, "held-out": HELD_OUT_STYLES}


def main() -> None:
    """Write a folder of scenes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artwork", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--seed", type=int, default=TEST_SEED)
    parser.add_argument(
        "--styles",
        nargs="+",
        choices=(*GROUPS, *STYLES),
        default=("held-out",),
        metavar="STYLE",
        help=f"styles by name, or {' or '.join(GROUPS)} for all of these",
    )
    parser.add_argument("--shipped", action="store_true", help="the scenes that ship, instead")
    parser.add_argument(
        "--unseen-pairs", action="store_true", help="objects that training never shows together"
    )
    options = parser.parse_args()
    if options.shipped:
        save_scenes(options.out, shipped_scenes(options.artwork))
        return
    scenes = make_scenes(
        options.artwork,
        styles=[one for name in options.styles for one in GROUPS.get(name, (name,))],
        count=options.scenes,
        seed=options.seed,
        unseen_pairs=options.unseen_pairs,
    )
    save_scenes(options.out, scenes)


def shipped_scenes(artwork: Path) -> list[Picture]:
    """Render the 24 scenes of the package: 12 in the styles of training, 12 in those held out."""
    return [
        picture
        for styles in (SHIPPED_STYLES, HELD_OUT_STYLES)
        for picture in make_scenes(artwork, styles=styles, count=12, seed=SHIPPED_SEED)
    ]


def make_scenes(
    artwork: Path, *, styles: Sequence[str], count: int, seed: int, unseen_pairs: bool = False
) -> list[Picture]:
    """Render scenes of 1 to 6 objects, each with 10 candidate classes.

    Args:
        artwork: A `node_modules` folder with the sprites.
        styles: Artwork styles to draw from.
        count: How many scenes.
        seed: Decides all of them.
        unseen_pairs: Only pairs of things that training keeps apart.

    Returns:
        What `lhtclip.datasets.scene_files.save_scenes` takes: levels, labels, classes.
    """
    sprites = torch.stack([load_sprites(artwork, style=s, size=SPRITE_SIDE) for s in styles])
    drawn = drawn_things(sprites)
    tiles = paint_tiles(seed, tiles=TILES, side=512)
    generator = np.random.default_rng(seed)
    scenes: list[Picture] = []
    while len(scenes) < count:
        scene = sample_scene(
            generator,
            height=HEIGHT,
            width=WIDTH,
            objects=(2, 6) if unseen_pairs else (1, 6),
            sizes=(60.0, 170.0),
            drawn=drawn,
            tiles=TILES,
            unseen_pairs=unseen_pairs,
        )
        if not scene.objects:
            continue
        pixels, labels = render([scene], sprites, tiles, height=HEIGHT, width=WIDTH)
        image = (pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        scenes.append(_with_candidates(generator, image, labels[0].numpy()))
    return scenes


def _with_candidates(
    generator: np.random.Generator, image: NDArray[np.uint8], labels: NDArray[np.int64]
) -> Picture:
    """Add things and one material that are not there, up to 10 classes, in random order."""
    words = [*THINGS, *MATERIALS]
    candidates = [int(label) for label in np.unique(labels)]
    materials = np.arange(len(THINGS), len(words))
    candidates.append(int(generator.choice(np.setdiff1d(materials, candidates))))
    absent = np.setdiff1d(np.arange(len(THINGS)), candidates)
    missing = CANDIDATES - len(candidates)
    candidates += generator.choice(absent, missing, replace=False).tolist()
    order = generator.permutation(candidates)
    index = np.zeros(len(words), dtype=np.uint8)
    index[order] = np.arange(len(order))
    return image, index[labels], tuple((words[i].name,) for i in order)


if __name__ == "__main__":
    main()
