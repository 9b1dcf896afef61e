import numpy as np
import pytest
import torch

from training.captions import caption
from training.rendering import render
from training.scenes import Placement, Scene, drawn_things, held_out_pair, sample_scene
from training.words import MATERIALS, THINGS

DRAWN = np.ones((2, len(THINGS)), dtype=np.bool_)


def sample(seed: int, *, unseen_pairs: bool = False) -> Scene:
    return sample_scene(
        np.random.default_rng(seed),
        height=100,
        width=140,
        objects=(2, 5),
        sizes=(20.0, 60.0),
        drawn=DRAWN,
        tiles=3,
        empty_share=0.0,
        unseen_pairs=unseen_pairs,
    )


def square_sprites(things: int = 3, side: int = 16) -> torch.Tensor:
    """Opaque squares: thing i is a grey of level 50 * (i + 1)."""
    sprites = torch.zeros(1, things, 4, side, side, dtype=torch.uint8)
    for thing in range(things):
        sprites[0, thing, :3] = 50 * (thing + 1)
        sprites[0, thing, 3] = 255
    return sprites


def place(thing: int, x: float, y: float, size: float, **changes: object) -> Placement:
    plain = {"style": 0, "angle": 0.0, "mirrored": False, "tint": (1.0,) * 3, "saturation": 1.0}
    return Placement(thing=thing, centre=(x, y), size=size, **(plain | changes))  # type: ignore[arg-type]


def scene(*objects: Placement) -> Scene:
    return Scene(material=1, tile=0, corner=(0.0, 0.0), brightness=1.0, objects=objects)


TILES = torch.full((2, 1, 3, 64, 64), 20, dtype=torch.uint8)


def test_an_object_lies_where_it_was_placed() -> None:
    pixels, labels = render(
        [scene(place(1, 20.0, 30.0, 16.0))], square_sprites(), TILES, height=48, width=64
    )
    expected = torch.full((48, 64), len(THINGS) + 1)
    expected[22:38, 12:28] = 1
    assert torch.equal(labels[0], expected)
    torch.testing.assert_close(pixels[0, :, 30, 20], torch.full((3,), 100 / 255))
    torch.testing.assert_close(pixels[0, :, 2, 2], torch.full((3,), 20 / 255))


def test_the_last_object_is_on_top() -> None:
    _, labels = render(
        [scene(place(0, 32.0, 24.0, 20.0), place(2, 36.0, 24.0, 20.0))],
        square_sprites(),
        TILES,
        height=48,
        width=64,
    )
    assert labels[0, 24, 24] == 0
    assert labels[0, 24, 30] == 2


def test_a_batch_is_its_scenes_one_by_one() -> None:
    scenes = [scene(place(0, 20.0, 20.0, 16.0, angle=0.4)), scene(), scene(place(1, 40, 20, 30))]
    together = render(scenes, square_sprites(), TILES, height=48, width=64)
    for i, alone in enumerate(scenes):
        for whole, part in zip(
            together, render([alone], square_sprites(), TILES, height=48, width=64), strict=True
        ):
            torch.testing.assert_close(whole[i], part[0])


def test_a_turned_object_keeps_its_area() -> None:
    _, labels = render(
        [scene(place(0, 32.0, 24.0, 20.0, angle=np.pi / 4))],
        square_sprites(),
        TILES,
        height=48,
        width=64,
    )
    assert int((labels == 0).sum()) == pytest.approx(400, rel=0.05)
    assert labels[0, 24 - 12, 32] == 0  # the corner points upwards


def test_training_never_shows_a_held_out_pair() -> None:
    for seed in range(200):
        things = [placement.thing for placement in sample(seed).objects]
        pairs = [(a, b) for i, a in enumerate(things) for b in things[:i]]
        assert not any(held_out_pair(a, b) for a, b in pairs)


def test_unseen_pairs_are_held_out_pairs() -> None:
    for seed in range(50):
        first, *others = [placement.thing for placement in sample(seed, unseen_pairs=True).objects]
        assert all(held_out_pair(first, other) for other in others)


def test_only_styles_that_draw_a_thing_are_chosen() -> None:
    sprites = torch.zeros(2, len(THINGS), 4, 2, 2, dtype=torch.uint8)
    sprites[1, :, 3] = 255
    drawn = drawn_things(sprites)
    found = sample_scene(
        np.random.default_rng(0),
        height=50,
        width=50,
        objects=(3, 3),
        sizes=(10.0, 20.0),
        drawn=drawn,
        tiles=1,
    )
    assert [placement.style for placement in found.objects] == [1, 1, 1]


def test_a_caption_mentions_its_things_and_says_so() -> None:
    words = {entry.name: (entry.name, *entry.synonyms) for entry in (*THINGS, *MATERIALS)}
    for seed in range(200):
        shown = sample(seed)
        numbers = [placement.thing for placement in shown.objects]
        text, mentioned = caption(np.random.default_rng(seed), shown.material, numbers)
        things = {THINGS[number].name for number in numbers}
        assert things <= mentioned <= things | {MATERIALS[shown.material].name}
        assert all(any(word in text for word in words[name]) for name in mentioned)
