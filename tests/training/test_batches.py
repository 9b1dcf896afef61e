from dataclasses import replace

import numpy as np
import torch

from training.batches import Batches, Library, World
from training.recipe import Phase, Recipe
from training.words import MATERIALS, THINGS

PHASE = Phase(side=48, objects=(1, 2), sizes=(16.0, 30.0), scenes=64, batch=8, kept=4, views=2)
RECIPE = replace(Recipe(), phases=(PHASE,), captions=40, offered=12)


def test_kinds_are_equal_where_captions_mention_the_same(world: World) -> None:
    library = Library.write(RECIPE, PHASE, world.drawn())
    assert len(library.topics) == len(library.captions) == len(library.kinds) == 40
    for (_, things), text in zip(library.topics, library.captions, strict=True):
        words = [(THINGS[i].name, *THINGS[i].synonyms) for i in things]
        assert all(any(word in text for word in some) for some in words)
    singles = [
        (things[0], int(kind))
        for (_, things), text, kind in zip(
            library.topics, library.captions, library.kinds, strict=True
        )
        if len(things) == 1 and not any(m.name in text for m in MATERIALS)
    ]
    assert len({thing for thing, _ in singles}) == len({kind for _, kind in singles})


def test_steps_that_share_a_drawing_see_other_patches_of_it(world: World) -> None:
    library = Library.write(RECIPE, PHASE, world.drawn())
    batches = Batches(RECIPE, world, rank=0, ranks=2)
    first, second, third = (batches(step, library) for step in range(3))
    assert first.patches.shape == (4, 4, 768)
    assert torch.equal(first.own, second.own)
    assert not torch.equal(first.own, third.own)
    for one, other in zip(first.patches, second.patches, strict=True):
        assert not torch.equal(one, other)
    assert all(len(set(rows.tolist())) == PHASE.kept for rows in (*first.rows, *second.rows))


def test_own_captions_are_offered_first(world: World) -> None:
    library = Library.write(RECIPE, PHASE, world.drawn())
    batch = Batches(RECIPE, world, rank=1, ranks=2)(0, library)
    assert batch.offered.shape == (4 + 12,)
    assert torch.equal(batch.offered[:4], batch.own)


def test_ranks_draw_different_scenes_and_repeat_themselves(world: World) -> None:
    library = Library.write(RECIPE, PHASE, world.drawn())
    one, again, other = (
        Batches(RECIPE, world, rank=rank, ranks=2)(0, library) for rank in (0, 0, 1)
    )
    assert torch.equal(one.patches, again.patches)
    assert torch.equal(one.rows, again.rows)
    assert not np.array_equal(one.own.numpy(), other.own.numpy())
