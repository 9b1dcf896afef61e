"""SC-CLIP: outliers, similarities, levels, and the class token."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lhtclip.errors import InputError
from lhtclip.methods import METHODS, Method
from lhtclip.methods.scclip import (
    PUBLISHED,
    Levels,
    ScclipSettings,
    guidance,
    outliers,
    similarity,
    smooth,
)
from tests import literal
from tests.methods import towers

GRID = (6, 6)  # more patches than neighbours
SETTINGS = ScclipSettings()


def scclip(settings: ScclipSettings) -> Method:
    return dataclasses.replace(METHODS["scclip"], settings=settings)


def tokens(count: int, *, batch: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(batch, count, 16, generator=torch.Generator().manual_seed(seed))


# The whole


@pytest.mark.parametrize("class_tokens", [1, 0])
def test_more_patches_than_neighbours(class_tokens: int) -> None:
    tower = towers.tower(GRID, class_tokens=class_tokens)
    expected = towers.slowly(partial(literal.update, "scclip"), tower)
    given = towers.update(METHODS["scclip"], tower)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-5)


def test_without_outliers_patches_have_no_places() -> None:
    method = scclip(ScclipSettings(outliers=0.0))
    order = torch.randperm(36, generator=torch.Generator().manual_seed(3))
    tower = towers.tower(GRID)
    given = towers.update(method, towers.permuted(tower, order))
    expected = towers.update(method, tower)
    torch.testing.assert_close(given[:, 1:], expected[:, 1:][:, order], rtol=0, atol=1e-5)


def test_class_token_only_adds_itself() -> None:
    """With no share it might as well not be there."""
    method = scclip(ScclipSettings(levels=Levels(3, 1, (1, 4), class_share=0.0)))
    tower = towers.tower(GRID)
    streams = {layer: stream[:, 1:] for layer, stream in tower.streams.items()}
    headless = dataclasses.replace(tower, class_tokens=0, streams=streams)
    given, expected = towers.update(method, tower), towers.update(method, headless)
    torch.testing.assert_close(given[:, 1:], expected)


def test_every_setting_counts() -> None:
    tower = towers.tower(GRID)
    published = towers.update(METHODS["scclip"], tower)
    for settings in (
        ScclipSettings(neighbours=3),
        ScclipSettings(outliers=0.3),
        ScclipSettings(beta=0.1),
        ScclipSettings(sharpness=9.0),
        ScclipSettings(levels=Levels(2, 1, (1, 4), 0.3)),
        ScclipSettings(levels=Levels(3, 2, (1, 4), 0.3)),
        ScclipSettings(levels=Levels(3, 1, (1, 3), 0.3)),
        ScclipSettings(levels=Levels(3, 1, (1, 4), 0.1)),
    ):
        assert (towers.update(scclip(settings), tower) - published).abs().max() > 0.01


# Outliers


@pytest.mark.parametrize("count", [2, 3, 15, 31, 32, 40])
@pytest.mark.parametrize(("neighbours", "share"), [(30, 0.05), (5, 0.2)])
def test_outliers_are_two_nested_loops(count: int, neighbours: int, share: float) -> None:
    patches = tokens(count)
    settings = ScclipSettings(neighbours=neighbours, outliers=share)
    expected = [literal.outlying(image.double().numpy(), neighbours, share) for image in patches]
    assert outliers(patches, settings).tolist() == expected


def test_the_loose_patch_is_found_in_each_image() -> None:
    patches = 0.1 * tokens(20)
    for image, place in enumerate((4, 0, 19)):
        patches[image, place] += 5
    found = outliers(patches, SETTINGS).nonzero().tolist()
    assert found == [[0, 4], [1, 0], [2, 19]]


def test_as_many_as_asked_for() -> None:
    assert outliers(tokens(200), SETTINGS).sum(dim=1).tolist() == [10, 10, 10]
    assert not outliers(tokens(200), ScclipSettings(outliers=0.0)).any()


def test_outliers_do_not_move_with_place_and_scale() -> None:
    patches = tokens(40)
    expected = outliers(patches, SETTINGS)
    assert torch.equal(outliers(3 * patches + 2, SETTINGS), expected)
    assert torch.equal(outliers(patches[..., torch.arange(15, -1, -1)], SETTINGS), expected)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_twins_are_no_outliers(count: int) -> None:
    assert not outliers(torch.ones(2, count, 8), SETTINGS).any()


# Similarities


def test_a_token_of_zeros_resembles_itself() -> None:
    patches = tokens(6)
    patches[:, 2] = 0
    cosine = similarity(patches)
    assert torch.equal(cosine.diagonal(dim1=1, dim2=2), torch.ones(3, 6))
    assert (cosine[:, 2].sum(dim=-1) == 1).all()
    assert smooth(patches, cosine, 0.4).isfinite().all()


def test_smoothing_at_one_changes_nothing_and_never_what_is_flat() -> None:
    patches = tokens(12)
    torch.testing.assert_close(smooth(patches, similarity(patches), 1.0), patches)
    flat = torch.ones(3, 12, 16)
    torch.testing.assert_close(smooth(flat, similarity(patches), 0.0), flat)


def test_guidance_looks_at_nothing_less_similar_than_the_image_s_mean() -> None:
    cosine = similarity(tokens(12))
    guide = guidance(cosine, 3.0)
    torch.testing.assert_close(guide.sum(dim=-1), torch.ones(3, 1, 12))
    for image, weights in zip(cosine, guide[:, 0], strict=True):
        assert torch.equal(weights > 0, image >= image.mean())


def test_guidance_where_all_is_alike() -> None:
    for value in (1.0, 0.1):
        cosine = similarity(torch.full((2, 50, 7), value))
        torch.testing.assert_close(guidance(cosine, 0.0).sum(dim=-1), torch.ones(2, 1, 50))
        assert guidance(cosine, 3.0).isfinite().all()


# Levels and settings


@pytest.mark.parametrize(
    ("depth", "levels"),
    [
        (12, Levels(9, 4, (4, 10), 0.3)),
        (24, Levels(17, 7, (9, 19), 0.1)),
        (32, Levels(22, 9, (12, 25), 0.1)),
        (6, Levels(4, 2, (2, 5), 0.3)),
        (2, Levels(1, 1, (1, 1), 0.3)),
    ],
)
def test_levels_by_depth(depth: int, levels: Levels) -> None:
    assert SETTINGS.levels_of(depth) == levels
    assert (depth in PUBLISHED) == (PUBLISHED.get(depth) == levels)


def test_levels_that_are_read() -> None:
    assert sorted(METHODS["scclip"].layers_read(12)) == [4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    "levels",
    [
        Levels(5, 1, (1, 2), 0.3),
        Levels(1, 0, (1, 2), 0.3),
        Levels(1, 1, (0, 2), 0.3),
        Levels(1, 1, (1, 5), 0.3),
        Levels(1, 1, (3, 2), 0.3),
    ],
)
def test_levels_that_are_not_there(levels: Levels) -> None:
    with pytest.raises(InputError, match="before the last one; this model has 4 of them"):
        ScclipSettings(levels=levels).levels_of(5)


def test_one_layer_has_no_levels() -> None:
    with pytest.raises(InputError, match="this model has 0 of them"):
        SETTINGS.levels_of(1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("neighbours", 0),
        ("neighbours", 2.5),
        ("outliers", 1.1),
        ("outliers", float("nan")),
        ("beta", -0.1),
        ("beta", "high"),
        ("sharpness", -1.0),
    ],
)
def test_settings_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"SC-CLIP's {name}"):
        ScclipSettings(**{name: value})
