"""Train the bundled model: `python -m training.train --artwork node_modules --out runs/bundled`.

It learns from captions alone. Every step draws its scenes from (seed, step), and the last
checkpoint holds everything, so a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lhtclip.checkpoints.checkpoint import TOKENIZER_FILE, save_checkpoint
from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from lhtclip.clip.model import Clip
from lhtclip.clip.tokenizer import Tokenizer
from training.artwork import load_sprites
from training.captions import caption
from training.model import contrastive_loss, fresh_clip, image_features, position_rows
from training.recipe import RECIPES, SPRITE_SIDE, TILE_SIDE, TILES, TRAINING_STYLES, Phase, Recipe
from training.scenes import drawn_things, paint_tiles, render, sample_scene
from training.tokenizer import train_tokenizer

MAX_SCALE = 100.0


def main() -> None:
    """Run the recipe from its last checkpoint to its end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artwork", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--out", type=Path, required=True, help="where checkpoints and curves go")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="bundled")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--save-every", type=int, default=100, help="steps")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    run = Run(RECIPES[options.recipe], options.artwork, options.out, torch.device(options.device))
    run.train(save_every=options.save_every, compiled=options.compile)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from."""

    pixels: Tensor  # normalised, (batch, 3, side, side)
    rows: Tensor  # rows of the position table, class token first
    kept: Tensor  # patches seen
    tokens: Tensor  # token ids of the captions
    equal: Tensor  # bool (batch, batch): captions that mention the same


class Run:
    """One training run: model, optimiser, step, and the world they learn from."""

    def __init__(self, recipe: Recipe, artwork: Path, out: Path, device: torch.device) -> None:
        self.recipe, self.out, self.device, self.step = recipe, out, device, 0
        out.mkdir(parents=True, exist_ok=True)
        if not (out / TOKENIZER_FILE).exists():
            train_tokenizer(recipe.model.text.vocab_size, recipe.seed).save(
                str(out / TOKENIZER_FILE)
            )
        context = recipe.model.text.max_position_embeddings
        self.tokenizer = Tokenizer(out / TOKENIZER_FILE, context_length=context)
        sprites = [load_sprites(artwork, style=s, size=SPRITE_SIDE) for s in TRAINING_STYLES]
        self.sprites = torch.stack(sprites).to(device)
        self.drawn = drawn_things(self.sprites)
        self.tiles = paint_tiles(recipe.seed, tiles=TILES, side=TILE_SIDE).to(device)
        self.model: Clip = fresh_clip(recipe.model, seed=recipe.seed).to(device)
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(self.model, recipe.weight_decay), betas=(0.9, 0.98), eps=1e-6
        )
        self.mean = torch.tensor(CLIP_MEAN, device=device)[:, None, None]
        self.std = torch.tensor(CLIP_STD, device=device)[:, None, None]
        self._resume()

    def train(self, *, save_every: int, compiled: bool) -> None:
        """Take the remaining steps, with a line of progress and a checkpoint now and then."""
        features = torch.compile(image_features, dynamic=False) if compiled else image_features
        scenes, started = 0, time.perf_counter()
        while self.step < self.recipe.steps:
            phase = self.recipe.phase_at(self.step)
            batch = self._batch(phase)
            rate = self.recipe.rate_at(self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            # fused attention's backward is several times slower than explicit softmax on a CPU
            with sdpa_kernel(SDPBackend.MATH):
                images = features(self.model, batch.pixels, batch.rows, batch.kept)
                texts = F.normalize(self.model.text(batch.tokens), dim=-1)
                loss = contrastive_loss(images, texts, self.model.logit_scale.exp(), batch.equal)
                loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            with torch.no_grad():
                self.model.logit_scale.clamp_(max=math.log(MAX_SCALE))
            self.step += 1
            scenes += phase.batch
            if self.step % 20 == 0:
                best = (images @ texts.T).argmax(dim=1, keepdim=True)
                self._log(
                    side=phase.side,
                    rate=round(rate, 7),
                    loss=round(float(loss.detach()), 4),
                    right=round(float(batch.equal.gather(1, best).float().mean()), 4),
                    scenes_per_second=round(scenes / (time.perf_counter() - started), 1),
                )
                scenes, started = 0, time.perf_counter()
            if self.step % save_every == 0 or self.step == self.recipe.steps:
                self._save()

    def _batch(self, phase: Phase) -> Batch:
        generator = np.random.default_rng((self.recipe.seed, self.step))
        scenes = [
            sample_scene(
                generator,
                height=phase.side,
                width=phase.side,
                objects=phase.objects,
                sizes=phase.sizes,
                drawn=self.drawn[: phase.styles],
                tiles=TILES,
                varied=phase.varied,
            )
            for _ in range(phase.batch)
        ]
        written = [caption(generator, scene, grounds=phase.grounds) for scene in scenes]
        pixels, _ = render(  # the labels are dropped here: captions are all that is learned from
            scenes, self.sprites, self.tiles, height=phase.side, width=phase.side
        )
        tokens = self.tokenizer([text for text, _ in written])
        kinds: dict[frozenset[str], int] = {}
        kind = torch.tensor([kinds.setdefault(names, len(kinds)) for _, names in written])
        vision = self.recipe.model.vision
        patches = phase.side // vision.patch_size
        top, left = (int(x) for x in generator.integers(vision.grid_size - patches + 1, size=2))
        kept = np.sort(generator.permutation(patches**2)[: round(phase.kept * patches**2)])
        return Batch(
            pixels=(pixels - self.mean) / self.std,
            rows=position_rows(vision.grid_size, (top, left), (patches, patches)).to(self.device),
            kept=torch.from_numpy(kept).to(self.device),
            tokens=tokens.to(self.device),
            equal=(kind[:, None] == kind).to(self.device),
        )

    def _log(self, **measured: float) -> None:
        line = json.dumps({"step": self.step} | measured)
        with (self.out / "curve.jsonl").open("a") as file:
            file.write(line + "\n")
        print(line, file=sys.stderr, flush=True)

    def _save(self) -> None:
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, self.out / "state.pt.new")
        os.replace(self.out / "state.pt.new", self.out / "state.pt")
        save_checkpoint(self.model, self.out, dtype=torch.float16)

    def _resume(self) -> None:
        if not (self.out / "state.pt").exists():
            return
        state = torch.load(self.out / "state.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def _parameter_groups(model: Clip, weight_decay: float) -> list[dict[str, object]]:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


if __name__ == "__main__":
    main()
