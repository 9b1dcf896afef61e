"""Align the values of a trained model's last block with captions.

`python -m training.align --artwork node_modules --start runs/bundled --out runs/aligned` draws
scenes at full size and runs all blocks except the last on each of them once. Then the last block,
both read-outs and the temperature learn with the loss of training.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.checkpoints.checkpoint import TOKENIZER_FILE, load_checkpoint, save_checkpoint
from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from lhtclip.clip.model import Clip
from training.batches import Library, World, draw_topics
from training.captions import PHRASES, WORDS, phrases
from training.learner import MAX_SCALE, end_tokens
from training.losses import Said, scene_loss
from training.model import last_features
from training.recipe import Phase, Recipe

AT_ONCE = 64  # scenes
WARMUP = 50  # steps
WEIGHT_DECAY = 0.05
PHASE = Phase(
    side=224, objects=(1, 5), sizes=(60.0, 175.0), scenes=16_384, grounds=0.5, kept=98, views=1
)


@dataclass(frozen=True, slots=True)
class Seen:
    """Scenes as input of the last block, with their captions."""

    streams: Tensor  # bfloat16 (scenes, 1 + patches, width)
    library: Library  # a caption for each scene
    ends: Tensor  # (scenes, text width): what enters the text tower's final norm
    phrases: Tensor  # (words, PHRASES, text width): the same of all words


def main() -> None:
    """Draw, learn, and write a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artwork", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--start", type=Path, required=True, help="a checkpoint folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=PHASE.scenes)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rate", type=float, default=2e-3)
    options = parser.parse_args()
    start = load_checkpoint(options.start)
    model = cast(Clip, start.model)
    world = World.load(options.artwork, seed=Recipe().seed, device=torch.device("cpu"))
    library = Library.write(Recipe(captions=options.scenes, phases=(PHASE,)), PHASE, world.drawn())
    spoken = [phrase for ways in phrases(np.random.default_rng((0, 4))) for phrase in ways]
    text = copy.deepcopy(model.text).to(torch.bfloat16)
    ends, said = (
        end_tokens(text, start.tokenizer.encode(texts), start.tokenizer.end).float()
        for texts in (library.captions, spoken)
    )
    seen = Seen(look(model, draw(world, library)), library, ends, said.unflatten(0, (-1, PHRASES)))
    learn(model, seen, steps=options.steps, rate=options.rate)
    options.out.mkdir(parents=True, exist_ok=True)
    save_checkpoint(model, options.out, dtype=torch.float16)
    shutil.copy(options.start / TOKENIZER_FILE, options.out / TOKENIZER_FILE)


def draw(world: World, library: Library) -> Tensor:
    """Draw a scene for every caption, uint8 (scenes, 3, side, side)."""
    generator = np.random.default_rng(4)
    drawn = world.drawn()
    pixels = torch.empty(len(library.topics), 3, PHASE.side, PHASE.side, dtype=torch.uint8)
    for begin in range(0, len(library.topics), AT_ONCE):
        topics = library.topics[begin : begin + AT_ONCE]
        scenes = draw_topics(generator, topics, PHASE, world, drawn)
        pixels[begin : begin + AT_ONCE] = 255 * scenes
    return pixels


@torch.inference_mode()
def look(model: Clip, pixels: Tensor) -> Tensor:
    """Return what enters the last block, bfloat16 (scenes, 1 + patches, width)."""
    vision = copy.deepcopy(model.vision).to(torch.bfloat16)
    mean, std = (torch.tensor(x)[:, None, None] for x in (CLIP_MEAN, CLIP_STD))
    streams: list[Tensor] = []
    for some in pixels.split(AT_ONCE):
        x = vision.embed(((some / 255 - mean) / std).to(torch.bfloat16))
        for block in vision.blocks[:-1]:
            x = block(x)
        streams.append(x)
    return torch.cat(streams)


def learn(model: Clip, seen: Seen, *, steps: int, rate: float) -> None:
    """Train the last block and the read-outs of both towers in place.

    Args:
        model: The CLIP; all its other weights stay.
        seen: The training data.
        steps: Number of steps, each on `PHASE.batch` scenes with half of their patches.
        rate: The highest learning rate; it falls to zero.
    """
    vision, text = model.vision, model.text
    model.requires_grad_(False)
    parts = (vision.blocks[-1], vision.final_norm, vision.projection)
    weights = [w for part in (*parts, text.final_norm, text.projection) for w in part.parameters()]
    weights.append(model.logit_scale)
    for weight in weights:
        weight.requires_grad_(True)
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    generator = np.random.default_rng(5)
    scenes, tokens = seen.streams.shape[:2]
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARMUP) * (1 - step / steps)
        own = torch.from_numpy(generator.integers(scenes, size=PHASE.batch))
        others = torch.from_numpy(generator.integers(scenes, size=Recipe().offered))
        offered = torch.cat([own, others])
        patches = 1 + generator.permutation(tokens - 1)[: PHASE.kept]
        kept = torch.from_numpy(np.concatenate([[0], patches]))
        spoken = torch.from_numpy(generator.integers(PHRASES, size=len(WORDS)))
        ends = torch.cat([seen.ends[offered], seen.phrases[torch.arange(len(WORDS)), spoken]])
        texts = F.normalize(text.projection(text.final_norm(ends)), dim=-1)
        library = seen.library
        said = Said(
            texts=texts[: len(offered)],
            equal=library.kinds[own][:, None] == library.kinds[offered],
            words=texts[len(offered) :],
            mentioned=library.mentioned[own],
            allowed=library.allowed(own),
        )
        features = last_features(vision, seen.streams[own][:, kept].float())
        loss = scene_loss(features, said, model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=float(np.log(MAX_SCALE)))
        if (step + 1) % 20 == 0:
            print(f"step {step + 1}: loss {float(loss.detach()):.3f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
