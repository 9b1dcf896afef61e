"""The recipe of the bundled model: its shape, its curriculum, its optimiser; one frozen record.

Beside it the recipes of two siblings, trained for a fifth as long, only so that what is said about
heads rests on more than one model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig

TRAINING_STYLES = ("noto", "fluent", "fluent-flat", "emojione")  # Twemoji is never seen in training
HELD_OUT_STYLE = "twemoji"
SPRITE_SIDE = 96  # pixels
TILE_SIDE = 512  # pixels
TILES = 24  # painted tiles of each material


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training at one scene size; objects keep their size in pixels throughout."""

    side: int  # pixels; a scene is a random crop of the model's full grid of positions
    objects: tuple[int, int]
    sizes: tuple[float, float]  # pixels
    scenes: int
    batch: int = 256
    styles: int = len(TRAINING_STYLES)  # the first of them
    varied: bool = True  # objects are stretched, sheared and recoloured
    grounds: float = 0.15  # share of captions that mention the material, too
    kept: float = 1.0  # share of patch tokens that a step sees, as in FLIP (arXiv 2212.00794)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result of a training run."""

    model: ClipConfig = field(
        default_factory=lambda: ClipConfig(
            vision=VisionConfig(
                hidden_size=128,
                intermediate_size=512,
                num_hidden_layers=8,
                num_attention_heads=4,
                image_size=224,
                patch_size=16,
            ),
            text=TextConfig(
                vocab_size=1024,
                hidden_size=128,
                intermediate_size=512,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=64,
                eos_token_id=1,
            ),
            projection_dim=128,
        )
    )
    phases: tuple[Phase, ...] = (
        Phase(
            side=80,
            objects=(1, 1),
            sizes=(44.0, 90.0),
            scenes=281_600,
            styles=2,
            varied=False,
            grounds=0.5,
        ),
        Phase(
            side=80, objects=(1, 1), sizes=(44.0, 90.0), scenes=204_800, varied=False, grounds=0.5
        ),
        Phase(side=112, objects=(1, 2), sizes=(40.0, 100.0), scenes=179_200, grounds=0.5),
        Phase(side=112, objects=(1, 3), sizes=(40.0, 100.0), scenes=76_800),
        Phase(side=160, objects=(1, 4), sizes=(40.0, 120.0), scenes=102_400, kept=0.5),
        Phase(side=224, objects=(1, 6), sizes=(40.0, 140.0), scenes=25_600, batch=128, kept=0.5),
    )
    peak_rate: float = 1e-3
    final_rate: float = 1e-5
    warmup_steps: int = 200
    restart_step: int = 2600  # where captions turn from materials to things, the rate rises again
    restart_rate: float = 6e-4
    first_horizon: int = 3450  # steps that the first cosine would have taken
    weight_decay: float = 0.1
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return sum(phase.scenes // phase.batch for phase in self.phases)

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a 0-based step: warm-up, cosine, a restart, cosine."""
        if step < self.warmup_steps:
            return self.peak_rate * (step + 1) / self.warmup_steps
        if step < self.restart_step:
            peak, start, end = self.peak_rate, self.warmup_steps, self.first_horizon
        else:
            peak, start, end = self.restart_rate, self.restart_step, self.steps
        cosine = (1 + math.cos(math.pi * (step - start) / (end - start))) / 2
        return self.final_rate + (peak - self.final_rate) * cosine

    def phase_at(self, step: int) -> Phase:
        """Return the phase that a 0-based step belongs to."""
        for phase in self.phases:
            step -= phase.scenes // phase.batch
            if step < 0:
                return phase
        return self.phases[-1]


def _sibling(*, seed: int, width: int, heads: int, single: int) -> Recipe:
    """Return a short recipe of another seed and shape: `single` scenes of one thing, then two."""
    bundled = Recipe().model
    phases = (
        Phase(side=80, objects=(1, 1), sizes=(44.0, 90.0), scenes=single, styles=2, varied=False),
        Phase(side=112, objects=(1, 2), sizes=(40.0, 100.0), scenes=32_000, styles=2),
    )
    steps = sum(phase.scenes // phase.batch for phase in phases)
    return Recipe(
        model=replace(
            bundled,
            vision=replace(
                bundled.vision,
                hidden_size=width,
                intermediate_size=4 * width,
                num_attention_heads=heads,
            ),
        ),
        phases=phases,
        restart_step=steps,
        first_horizon=steps,
        seed=seed,
    )


RECIPES: dict[str, Recipe] = {
    "bundled": Recipe(),
    "other-seed": _sibling(seed=1, width=128, heads=4, single=153_600),
    "narrow": _sibling(seed=2, width=96, heads=6, single=102_400),
}
