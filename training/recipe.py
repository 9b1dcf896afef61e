"""The recipe of the bundled model: its shape, its curriculum, its optimiser; one frozen record.

It also has recipes of two siblings, trained for a fifth as long, so that findings about heads do
not rest on a single model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig

TRAINING_STYLES = (
    "noto",
    "noto-v1",
    "fxemoji",
    "fluent",
    "fluent-flat",
    "emojione",
    "emojione-v1",
    "openmoji",
)
SHIPPED_STYLES = ("noto", "noto-v1", "fxemoji", "fluent", "fluent-flat", "emojione")
"""Styles of training whose drawings may ship: neither emojione-v1 nor openmoji, CC BY-SA."""

HELD_OUT_STYLES = ("twemoji", "streamline")  # never seen in training
SPRITE_SIDE = 96  # pixels
TILE_SIDE = 512  # pixels
TILES = 24  # painted tiles of each material


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of training at one scene size; objects keep their size in pixels throughout."""

    side: int  # pixels; a smaller scene is a random crop of the model's grid of positions
    objects: tuple[int, int]
    sizes: tuple[float, float]  # pixels
    scenes: int
    kept: int  # patch tokens that a step sees of a scene, as in FLIP (arXiv 2212.00794)
    batch: int = 128
    grounds: float = 0.5  # share of captions that also mention the material
    views: int = 3  # steps that learn from the same pixels, each from other patches


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result of a training run; this one has not run to its end yet."""

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
        Phase(side=112, objects=(1, 2), sizes=(48.0, 112.0), scenes=294_400, kept=42, views=2),
        Phase(side=224, objects=(1, 5), sizes=(60.0, 175.0), scenes=9_705_600, kept=79, views=3),
    )
    captions: int = 16_384  # written for each phase
    offered: int = 2048  # of them, drawn for each step where the text tower is a finished one
    rate: float = 5e-4  # constant between warm-up and decay
    warmup_steps: int = 200
    decay_steps: int = 2000  # at the end, whenever that is, the rate falls to zero
    weight_decay: float = 0.1
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return sum(phase.scenes // phase.batch for phase in self.phases)

    def rate_at(self, step: int, decay_from: int) -> float:
        """Return the learning rate of a 0-based step; 0 where the decay has ended."""
        rising = min(1.0, (step + 1) / self.warmup_steps)
        left = 1.0 - max(0, step - decay_from) / self.decay_steps
        return self.rate * min(rising, max(0.0, left))

    def phase_at(self, step: int) -> Phase:
        """Return the phase that a 0-based step belongs to."""
        for phase in self.phases:
            step -= phase.scenes // phase.batch
            if step < 0:
                return phase
        return self.phases[-1]


def _sibling(*, seed: int, width: int, heads: int, single: int) -> Recipe:
    """Return a short recipe of another seed and shape: `single` scenes of one thing, then more."""
    bundled = Recipe()
    return replace(
        bundled,
        model=replace(
            bundled.model,
            vision=replace(
                bundled.model.vision,
                hidden_size=width,
                intermediate_size=4 * width,
                num_attention_heads=heads,
            ),
        ),
        phases=(
            replace(bundled.phases[0], scenes=single, batch=256),
            replace(bundled.phases[1], scenes=single // 4, batch=256),
        ),
        decay_steps=150,
        seed=seed,
    )


RECIPES: dict[str, Recipe] = {
    "bundled": Recipe(),
    "other-seed": _sibling(seed=1, width=128, heads=4, single=153_600),
    "narrow": _sibling(seed=2, width=96, heads=6, single=102_400),
}
