"""Train the bundled model: `python -m training.train --artwork node_modules --out runs/bundled`.

It learns from captions alone. Every step draws its scenes from (seed, step), and the last
checkpoint holds everything, so a run that was killed goes on as if it had not been. A file named
`finish` in the output folder ends the run early, with a decay of the learning rate. What is kept
for later runs is the state before that decay: the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
import torch.multiprocessing as mp

from lhtclip.checkpoints.checkpoint import TOKENIZER_FILE, load_checkpoint, save_checkpoint
from lhtclip.clip.model import Clip
from lhtclip.clip.tokenizer import Tokenizer
from training.batches import Batches, Library, World
from training.learner import Learner
from training.model import fresh_clip
from training.ranks import agree, join
from training.recipe import RECIPES, Recipe
from training.tokenizer import train_tokenizer

LOG_EVERY = 20  # steps
FINISH_FILE = "finish"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    artwork: Path
    out: Path
    recipe: str
    device: str
    ranks: int
    save_every: int
    minutes: float
    decay_steps: int | None
    start: Path | None
    compile: bool


def main() -> None:
    """Run the recipe from its last checkpoint to its end."""
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artwork", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--out", type=Path, required=True, help="where checkpoints and curves go")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="bundled")
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    parser.add_argument(
        "--ranks",
        type=int,
        default=1 if on_gpu else len(os.sched_getaffinity(0)),
        help="processes that share each batch: one on a GPU, one for each core of a CPU",
    )
    parser.add_argument("--save-every", type=int, default=100, help="steps")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="end by then, decay included"
    )
    parser.add_argument("--decay-steps", type=int, help="instead of the recipe's")
    parser.add_argument(
        "--start", type=Path, help="a checkpoint to go on from; its text blocks learn no more"
    )
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    options = Options(**vars(parser.parse_args()))
    recipe = RECIPES[options.recipe]
    if options.decay_steps:
        recipe = replace(recipe, decay_steps=options.decay_steps)
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / TOKENIZER_FILE).exists():
        if options.start:
            shutil.copy(options.start / TOKENIZER_FILE, options.out / TOKENIZER_FILE)
        else:
            tokenizer = train_tokenizer(recipe.model.text.vocab_size, recipe.seed)
            tokenizer.save(str(options.out / TOKENIZER_FILE))
    World.load(options.artwork, seed=recipe.seed, device=torch.device("cpu"))
    if options.ranks == 1:
        _train(0, options, recipe)
    else:
        (options.out / "meeting").unlink(missing_ok=True)
        mp.spawn(_train, (options, recipe), nprocs=options.ranks)


def _train(rank: int, options: Options, recipe: Recipe) -> None:
    if options.ranks > 1:
        torch.set_num_threads(1)
    join(rank, options.ranks, (options.out / "meeting").absolute())
    device = torch.device(options.device)
    world = World.load(options.artwork, seed=recipe.seed, device=device)
    if options.start:
        model = cast(Clip, load_checkpoint(options.start, device=device).model)
    else:
        model = fresh_clip(recipe.model, seed=recipe.seed).to(device)
    context = recipe.model.text.max_position_embeddings
    tokenizer = Tokenizer(options.out / TOKENIZER_FILE, context_length=context)
    learner = Learner(
        recipe, model, tokenizer, learns_text=not options.start, compiled=options.compile
    )
    batches = Batches(recipe, world, rank=rank, ranks=options.ranks)
    run = Run(recipe, options.out, learner, first=rank == 0, minutes=options.minutes)
    run.train(batches, save_every=options.save_every)


class Run:
    """Step after step, until the decay of the learning rate has ended."""

    def __init__(
        self, recipe: Recipe, out: Path, learner: Learner, *, first: bool, minutes: float
    ) -> None:
        self.recipe, self.out, self.learner, self.first = recipe, out, learner, first
        self.deadline = time.monotonic() + 60 * minutes
        self.step, self.decay_from = 0, recipe.steps - recipe.decay_steps
        self._resume()

    def train(self, batches: Batches, *, save_every: int) -> None:
        """Take the remaining steps, with a line of progress and a checkpoint now and then."""
        scenes, losses, rights, started = 0, 0.0, 0.0, time.perf_counter()
        library, written_for, begun = None, None, self.step
        while self.step < self.decay_from + self.recipe.decay_steps:
            phase = self.recipe.phase_at(self.step)
            rate = self.recipe.rate_at(self.step, self.decay_from)
            if library is None or phase != written_for:
                library, written_for = Library.write(self.recipe, phase, batches.drawn), phase
                self.learner.read(library)
            loss, right = self.learner.step(batches(self.step, library), rate)
            self.step += 1
            scenes, losses, rights = scenes + phase.batch, losses + loss, rights + right
            if self.step % LOG_EVERY == 0:
                seconds = time.perf_counter() - started
                self._log(
                    side=phase.side,
                    rate=round(rate, 7),
                    loss=round(losses / LOG_EVERY, 4),
                    right=round(rights / LOG_EVERY, 4),
                    scenes_per_second=round(scenes / seconds, 1),
                )
                compiling = self.step <= begun + LOG_EVERY  # so the first steps are slow
                self._look_at_clock(0.0 if compiling else seconds / LOG_EVERY)
                scenes, losses, rights, started = 0, 0.0, 0.0, time.perf_counter()
            if self.step % save_every == 0 or self.step == self.decay_from:
                self._save()
        self._save()
        if self.first:
            (self.out / FINISH_FILE).unlink(missing_ok=True)

    def _look_at_clock(self, seconds_per_step: float) -> None:
        """Begin the decay now if it was asked for, or if it has to end by the deadline."""
        needed = 1.1 * seconds_per_step * (self.recipe.decay_steps + LOG_EVERY)
        late = time.monotonic() + needed > self.deadline
        now = self.first and (late or (self.out / FINISH_FILE).exists())
        decay_from = agree(min(self.decay_from, self.step) if now else self.decay_from)
        if decay_from < self.decay_from:
            self.decay_from = decay_from
            self._save()

    def _log(self, **measured: float) -> None:
        if not self.first:
            return
        line = json.dumps({"step": self.step} | measured)
        with (self.out / "curve.jsonl").open("a") as file:
            file.write(line + "\n")
        print(line, file=sys.stderr, flush=True)

    def _save(self) -> None:
        """Write the weights and, unless the rate is falling, all that a later run needs."""
        if not self.first:
            return
        if self.step <= self.decay_from:
            torch.save({"step": self.step} | self.learner.state(), self.out / "state.pt.new")
            os.replace(self.out / "state.pt.new", self.out / "state.pt")
        save_checkpoint(self.learner.model, self.out, dtype=torch.float16)

    def _resume(self) -> None:
        if not (self.out / "state.pt").exists():
            return
        state = torch.load(self.out / "state.pt", map_location="cpu", weights_only=True)
        self.learner.resume(state)
        self.step = state["step"]


if __name__ == "__main__":
    main()
