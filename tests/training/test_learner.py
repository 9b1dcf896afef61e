import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lhtclip.checkpoints.checkpoint import TOKENIZER_FILE, load_checkpoint
from lhtclip.clip.tokenizer import Tokenizer
from training.batches import Batches, Library, World
from training.learner import Learner
from training.model import fresh_clip
from training.recipe import Phase, Recipe
from training.train import LOG_EVERY, Run

BUNDLED = Path(str(files("lhtclip"))) / "data" / "bundled"
PHASE = Phase(side=48, objects=(1, 1), sizes=(16.0, 30.0), scenes=4096, batch=8, kept=4, views=2)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    recipe = Recipe()
    vision, text = (
        replace(tower, hidden_size=16, intermediate_size=32, num_hidden_layers=2)
        for tower in (recipe.model.vision, recipe.model.text)
    )
    model = replace(recipe.model, vision=vision, text=text, projection_dim=8)
    return replace(
        recipe, model=model, phases=(PHASE,), captions=20, offered=4, warmup_steps=1, decay_steps=30
    )


def learner_of(recipe: Recipe, *, learns_text: bool) -> Learner:
    tokenizer = Tokenizer(
        BUNDLED / TOKENIZER_FILE, context_length=recipe.model.text.max_position_embeddings
    )
    model = fresh_clip(recipe.model, seed=0)
    return Learner(recipe, model, tokenizer, learns_text=learns_text, compiled=False)


def changed(learner: Learner, before: dict[str, Tensor]) -> set[str]:
    now = learner.model.state_dict()
    return {name for name, tensor in now.items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("learns_text", [True, False])
def test_a_step_moves_what_is_to_learn(world: World, recipe: Recipe, learns_text: bool) -> None:
    learner, batches = (
        learner_of(recipe, learns_text=learns_text),
        Batches(recipe, world, rank=0, ranks=1),
    )
    library = Library.write(recipe, PHASE, batches.drawn)
    learner.read(library)
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    losses = [learner.step(batches(0, library), 3e-3)[0] for _ in range(5)]
    assert losses[-1] < losses[0]
    moved = changed(learner, before)
    assert "vision.patch_embedding.weight" in moved
    assert "text.projection.weight" in moved
    assert ("text.token_embedding.weight" in moved) == learns_text
    assert any(name.startswith("text.blocks") for name in moved) == learns_text


def test_read_out_captions_have_the_features_of_the_tower(world: World, recipe: Recipe) -> None:
    learner = learner_of(recipe, learns_text=False)
    library = Library.write(recipe, PHASE, Batches(recipe, world, rank=0, ranks=1).drawn)
    learner.read(library)
    assert learner.read_out is not None
    text = learner.model.text
    expected = text(learner.tokenizer(library.captions))
    found = text.projection(text.final_norm(learner.read_out.float()))
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


def test_a_run_ends_when_asked_and_goes_on_from_before_its_decay(
    world: World, recipe: Recipe, tmp_path: Path
) -> None:
    batches = Batches(recipe, world, rank=0, ranks=1)

    def run(minutes: float = float("inf")) -> Run:
        learner = learner_of(recipe, learns_text=False)
        return Run(recipe, tmp_path, learner, first=True, minutes=minutes)

    (tmp_path / "finish").touch()
    first = run()
    first.train(batches, save_every=100)
    assert first.step == LOG_EVERY + recipe.decay_steps
    assert not (tmp_path / "finish").exists()
    second = run(minutes=0.0)
    assert second.step == LOG_EVERY
    second.train(batches, save_every=100)
    assert second.step == 2 * LOG_EVERY + recipe.decay_steps
    shutil.copy(BUNDLED / TOKENIZER_FILE, tmp_path / TOKENIZER_FILE)
    assert load_checkpoint(tmp_path).model.config == recipe.model
