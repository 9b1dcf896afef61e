"""Zero-shot classification of single objects over the whole vocabulary, by the class token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from lhtclip.text.embeddings import TextEncoder
from training.artwork import load_sprites
from training.recipe import SPRITE_SIDE
from training.rendering import render
from training.scenes import drawn_things, paint_tiles, sample_scene
from training.words import THINGS

SIDE = 224  # pixels


@torch.inference_mode()
def zero_shot_accuracy(
    checkpoint: Checkpoint, artwork: Path, *, styles: Sequence[str], images: int, seed: int
) -> tuple[float, float]:
    """Return top-1 and top-5 accuracy in [0, 1] over all things, on pictures of one object each.

    Args:
        checkpoint: The model.
        artwork: A `node_modules` folder with the sprites.
        styles: Artwork styles to draw from.
        images: How many pictures.
        seed: Decides all of them.
    """
    texts = TextEncoder.of(checkpoint, cache=False).encode([thing.name for thing in THINGS])
    sprites = torch.stack([load_sprites(artwork, style=s, size=SPRITE_SIDE) for s in styles])
    drawn = drawn_things(sprites)
    tiles = paint_tiles(seed, tiles=2, side=256)
    generator = np.random.default_rng(seed)
    mean, std = (torch.tensor(x)[:, None, None] for x in (CLIP_MEAN, CLIP_STD))
    first = five = 0
    for _ in range(images):
        scene = sample_scene(
            generator,
            height=SIDE,
            width=SIDE,
            objects=(1, 1),
            sizes=(90.0, 180.0),
            drawn=drawn,
            tiles=2,
            empty_share=0.0,
        )
        pixels, _ = render([scene], sprites, tiles, height=SIDE, width=SIDE)
        features = F.normalize(checkpoint.model.vision((pixels - mean) / std), dim=-1)
        ranked = (features @ texts.T)[0].topk(5).indices.tolist()
        first += ranked[0] == scene.objects[0].thing
        five += scene.objects[0].thing in ranked
    return first / images, five / images
