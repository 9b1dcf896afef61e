"""Training data: patches of scenes, and a library of captions to match them with.

The library is drawn once per phase. Each scene is drawn for a caption, so that a caption occurs in
many styles; the other captions of the library serve as negatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from training.artwork import load_sprites
from training.captions import PHRASES, WORDS, caption
from training.finishes import FINISHES, with_finishes
from training.model import cut_patches, position_rows
from training.recipe import SPRITE_SIDE, TILE_SIDE, TILES, TRAINING_STYLES, Phase, Recipe
from training.rendering import render_pixels
from training.scenes import drawn_things, paint_tiles, sample_scene, sample_topic
from training.words import THINGS


@dataclass(frozen=True, slots=True)
class World:
    """All drawings: sprites of every style and finish, painted tiles of every material."""

    sprites: Tensor
    tiles: Tensor

    @classmethod
    def load(cls, artwork: Path, *, seed: int, device: torch.device) -> World:
        """Read the training styles below a `node_modules` folder and paint the materials."""
        kept = artwork / ".sprites" / f"world-{seed}.pt"
        if not kept.exists():
            sprites = [load_sprites(artwork, style=s, size=SPRITE_SIDE) for s in TRAINING_STYLES]
            tiles = paint_tiles(seed, tiles=TILES, side=TILE_SIDE)
            torch.save((with_finishes(torch.stack(sprites)), tiles), kept)
        sprites, tiles = torch.load(kept, mmap=True)  # ranks on one machine share the pages
        return cls(sprites.to(device), tiles.to(device))

    def drawn(self) -> np.ndarray:
        """Return bool (styles, things): which style draws which thing."""
        return drawn_things(self.sprites[: len(TRAINING_STYLES)])


@dataclass(frozen=True, slots=True)
class Library:
    """Captions, the scenes to draw for them, and which captions mention the same things."""

    topics: list[tuple[int, tuple[int, ...]]]
    captions: list[str]
    kinds: Tensor  # int64 (captions,): equal if captions mention the same things
    mentioned: Tensor  # bool (captions, words): things, then materials

    @classmethod
    def write(cls, recipe: Recipe, phase: Phase, drawn: np.ndarray) -> Library:
        """Write the captions of a phase."""
        generator = np.random.default_rng((recipe.seed, 3, recipe.phases.index(phase)))
        topics = [sample_topic(generator, phase.objects, drawn) for _ in range(recipe.captions)]
        written = [caption(generator, *topic, grounds=phase.grounds) for topic in topics]
        mentioned = torch.tensor([[word in names for word in WORDS] for _, names in written])
        numbers = torch.from_numpy(np.random.default_rng(0).integers(2**50, size=len(WORDS)))
        kinds = (mentioned * numbers).sum(dim=1)
        return cls(topics, [text for text, _ in written], kinds, mentioned)

    def to(self, device: torch.device) -> Library:
        """Move what is looked up in every step to a device."""
        kinds, mentioned = self.kinds.to(device), self.mentioned.to(device)
        return replace(self, kinds=kinds, mentioned=mentioned)

    def allowed(self, captions: Tensor) -> Tensor:
        """Return which words may be true of the scenes of some captions, bool (captions, words).

        A caption names all things; if it is silent on the material, that may be any.
        """
        allowed = self.mentioned[captions]
        silent = ~allowed[:, len(THINGS) :].any(dim=1, keepdim=True)
        return torch.cat([allowed[:, : len(THINGS)], allowed[:, len(THINGS) :] | silent], dim=1)


@dataclass(frozen=True, slots=True)
class Batch:
    """Training data of one step of one rank."""

    patches: Tensor  # normalised, (batch, kept, 3 side²)
    rows: Tensor  # of the position table, (batch, kept)
    own: Tensor  # int64 (batch,): the captions of the scenes, as numbers of the library
    offered: Tensor  # int64 (captions,): all candidates, the scenes' own first
    phrases: Tensor  # int64 (words,): which phrase stands for each word


class Batches:
    """Makes the batch of any step, without ever drawing pixel labels."""

    def __init__(self, recipe: Recipe, world: World, *, rank: int, ranks: int) -> None:
        self.recipe, self.world, self.rank, self.ranks = recipe, world, rank, ranks
        self.drawn = world.drawn()
        device = world.sprites.device
        self.mean, self.std = (
            torch.tensor(x, device=device)[:, None, None] for x in (CLIP_MEAN, CLIP_STD)
        )
        self.seen: tuple[tuple[Phase, int], Tensor, Tensor] | None = None

    def __call__(self, step: int, library: Library) -> Batch:
        """Return the batch of a 0-based step."""
        phase, recipe = self.recipe.phase_at(step), self.recipe
        draw, view = divmod(step, phase.views)
        if self.seen is None or self.seen[0] != (phase, draw):
            self.seen = ((phase, draw), *self._draw(phase, draw, library))
        _, own, patches = self.seen
        grid, full = phase.side // recipe.model.vision.patch_size, recipe.model.vision.grid_size
        order = np.random.default_rng((recipe.seed, draw, self.rank, 2))
        order = order.permuted(np.tile(np.arange(grid**2), (len(own), 1)), axis=1)
        chosen = torch.from_numpy(
            np.roll(order, -view * phase.kept, axis=1)[:, : phase.kept].copy()
        )
        generator = np.random.default_rng((recipe.seed, step, self.rank, 1))
        corner = generator.integers(full - grid + 1, size=2)
        rows = position_rows(full, (int(corner[0]), int(corner[1])), (grid, grid))
        others = torch.from_numpy(generator.integers(len(library.topics), size=recipe.offered))
        device = patches.device
        at = chosen.to(device)[:, :, None].expand(-1, -1, patches.shape[2])
        return Batch(
            patches=patches.gather(1, at),
            rows=rows[chosen].to(device),
            own=own.to(device),
            offered=torch.cat([own, others]).to(device),
            phrases=torch.from_numpy(generator.integers(PHRASES, size=len(WORDS))).to(device),
        )

    def _draw(self, phase: Phase, draw: int, library: Library) -> tuple[Tensor, Tensor]:
        """Return the captions chosen, (batch,), and the patches of their scenes."""
        generator = np.random.default_rng((self.recipe.seed, draw, self.rank, 0))
        own = generator.integers(len(library.topics), size=phase.batch // self.ranks)
        topics = [library.topics[number] for number in own]
        pixels = draw_topics(generator, topics, phase, self.world, self.drawn)
        pixels = pixels.sub_(self.mean).div_(self.std).to(torch.bfloat16)
        return torch.from_numpy(own), cut_patches(pixels, self.recipe.model.vision.patch_size)


def draw_topics(
    generator: np.random.Generator,
    topics: Sequence[tuple[int, tuple[int, ...]]],
    phase: Phase,
    world: World,
    drawn: np.ndarray,
) -> Tensor:
    """Draw a scene of every topic, (topics, 3, side, side) in [0, 1]; no label is ever drawn."""
    scenes = [
        sample_scene(
            generator,
            height=phase.side,
            width=phase.side,
            objects=phase.objects,
            sizes=phase.sizes,
            drawn=drawn,
            tiles=TILES,
            varied=True,
            finishes=1 + len(FINISHES),
            topic=topic,
        )
        for topic in topics
    ]
    return render_pixels(scenes, world.sprites, world.tiles, height=phase.side, width=phase.side)
