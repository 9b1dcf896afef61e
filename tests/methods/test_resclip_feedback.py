"""SFR of ResCLIP: each step against loops, and the rule against the literal second run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lhtclip.decoding.pamr import PamrSettings
from lhtclip.errors import InputError
from lhtclip.methods import METHODS
from lhtclip.methods.method import FirstRun
from lhtclip.methods.resclip import RcsSettings
from lhtclip.methods.resclip_feedback import (
    SfrSettings,
    belonging,
    blur_matrix,
    feedback,
    most_frequent,
    patch_labels,
    resclip_with_feedback,
    unbroken,
)
from tests.literal import feedback as literal
from tests.methods import towers

GRIDS = [(1, 1), (1, 6), (5, 1), (3, 4), (5, 5), (4, 9)]


def some_labels(rows: int, columns: int, queries: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(queries, (rows, columns), generator=generator)


# Labels of patches


@pytest.mark.parametrize("size", [(12, 16), (13, 18), (4, 4)])
def test_most_frequent_label_of_each_patch(size: tuple[int, int]) -> None:
    labels = some_labels(*size, queries=7)
    expected = literal.patch_labels(labels.numpy(), 4)
    np.testing.assert_array_equal(most_frequent(labels, 4, 7).numpy(), expected)


def test_of_equally_frequent_labels_the_lowest_counts() -> None:
    labels = torch.tensor([[3, 3, 5, 0], [1, 1, 5, 0]])
    assert most_frequent(labels, 2, 6).tolist() == [[1, 0]]


def first_run(size: tuple[int, int], *, batch: int = 2, queries: int = 4) -> FirstRun:
    """Noise whose cosines are spread about as widely as CLIP's, patches of 4 pixels."""
    generator = torch.Generator().manual_seed(0)
    texts = F.normalize(torch.randn(queries, 8, generator=generator), dim=1)
    noise = torch.randn(batch, size[0] // 4, size[1] // 4, 8, generator=generator)
    embeddings = F.normalize(texts.mean(dim=0) + 0.3 * noise, dim=-1)
    coarse = torch.randn(batch, 3, 3, 3, generator=generator)
    return FirstRun(embeddings, texts, F.interpolate(coarse, size), 4)


@pytest.mark.parametrize("size", [(12, 16), (14, 19)])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_labels_are_those_of_the_protocol(size: tuple[int, int], threshold: float) -> None:
    """Cosines, upsampled, refined, softmax, threshold, mode."""
    first = first_run(size)
    how = SfrSettings(threshold=threshold, logit_scale=20.0, pamr=PamrSettings(2, (1, 2)))
    logits = (first.embeddings.double() @ first.texts.double().T).permute(0, 3, 1, 2)
    upsampled = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    found = list(patch_labels(first, how))
    for planes, image, labels in zip(upsampled, first.pixels, found, strict=True):
        pixels = literal.pixel_labels(
            planes.numpy(),
            image.double().numpy(),
            scale=20.0,
            threshold=threshold,
            iterations=2,
            dilations=(1, 2),
        )
        np.testing.assert_array_equal(labels.numpy(), literal.patch_labels(pixels, 4))
    everywhere = torch.stack(found)
    assert len(everywhere.unique()) > 1
    if threshold:
        assert (everywhere == 0).sum() > (
            torch.stack(list(patch_labels(first, replace(how, threshold=0.0)))) == 0
        ).sum()


# Which patches belong together


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 3), st.integers(0, 1000))
def test_unbroken_segments(rows: int, columns: int, queries: int, seed: int) -> None:
    labels = some_labels(rows, columns, queries, seed)
    places = list(np.ndindex(rows, columns))
    expected = [[literal.unbroken(labels.numpy(), i, j) for j in places] for i in places]
    np.testing.assert_array_equal(unbroken(labels).numpy(), expected)


def test_a_wall_breaks_segments_and_a_way_around_does_not_help() -> None:
    labels = torch.tensor([[0, 1, 0], [0, 1, 0], [0, 0, 0]])
    see = unbroken(labels).reshape(3, 3, 3, 3)
    assert see[0, 0, 1, 0]
    assert not see[0, 0, 0, 2]  # across the wall
    assert not see[0, 0, 2, 2]  # the diagonal meets it too
    assert see[2, 0, 2, 2]
    assert not see[0, 0, 0, 1]  # another label


@pytest.mark.parametrize("grid", GRIDS)
def test_belonging_is_its_formula(grid: tuple[int, int]) -> None:
    labels = some_labels(*grid)
    expected = torch.from_numpy(literal.belonging(labels.numpy())).float()
    torch.testing.assert_close(belonging(labels), expected, rtol=0, atol=1e-5)


def test_belonging_on_a_large_grid() -> None:
    """Where the kernel's 31 places are fewer than the patches, and labels form regions."""
    labels = torch.zeros(7, 9, dtype=torch.long)
    labels[:, 4:] = 1
    labels[2:5, 6:8] = 2
    expected = torch.from_numpy(literal.belonging(labels.numpy())).float()
    found = belonging(labels)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert found.max() == 1
    assert found.min() >= 0


def test_one_label_everywhere_leaves_the_blur_alone() -> None:
    found = belonging(torch.zeros(8, 8, dtype=torch.long))
    assert (found > 0.99 * found.max(dim=1, keepdim=True).values)[:, 16:48].all()


@pytest.mark.parametrize("length", [1, 2, 15, 30, 31, 32, 60])
def test_blur_is_a_padded_convolution(length: int) -> None:
    size = min(length, 31) | 1
    x = torch.arange(size) - size // 2
    kernel = torch.exp(-(x**2) / 50.0)
    rows = torch.rand(4, length, generator=torch.Generator().manual_seed(0))
    expected = F.conv1d(rows[:, None], kernel[None, None], padding=size // 2)[:, 0]
    torch.testing.assert_close(rows @ blur_matrix(length, 5.0), expected)


# The rule


def test_feedback_is_that_of_each_window() -> None:
    first = first_run((12, 16), batch=3)
    how = SfrSettings(pamr=PamrSettings(2, (1, 2)))
    found = feedback(first, settings=how)
    assert found.shape == (3, 12, 12)
    torch.testing.assert_close(found.amax(dim=(1, 2)), torch.ones(3))
    for i, labels in enumerate(patch_labels(first, how)):
        torch.testing.assert_close(found[i], belonging(labels))


@pytest.mark.parametrize("class_tokens", [1, 0])
@pytest.mark.parametrize("base", ["naclip", "sclip", "clearclip"])
def test_second_run_is_its_formula(base: str, class_tokens: int) -> None:
    """τ_s [(1 - λ_s) s K Kᵀ + λ_s F] + Ω in place of s K Kᵀ + Ω, and RCS as before."""
    rcs, sfr = RcsSettings(base=base), SfrSettings(scale=2.1, share=0.6)  # type: ignore[arg-type]
    found = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(3)).double()
    context = towers.context((3, 4), class_tokens=class_tokens)
    rule = resclip_with_feedback(rcs, sfr)
    given = towers.update(rule, replace(context, feedback=found))
    maps = iter(found.numpy())
    expected = towers.slowly(
        lambda inside: literal.second_run(inside, next(maps), base=base, scale=2.1, share=0.6),
        context,
    )
    assert given.shape == expected.shape
    patches = slice(class_tokens, None)
    torch.testing.assert_close(given[:, patches], expected[:, patches], rtol=0, atol=1e-6)


def test_first_run_is_rcs_alone() -> None:
    context = towers.context((3, 4))
    alone, both = METHODS["resclip"], METHODS["resclip-sfr"]
    assert torch.equal(towers.update(both, context), towers.update(alone, context))
    assert (both.residual, both.mlp, both.feedback is None) == (alone.residual, alone.mlp, False)


def test_share_of_zero_and_scale_of_one_is_rcs_alone() -> None:
    context = towers.context((3, 4))
    found = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(3))
    rule = resclip_with_feedback(RcsSettings(), SfrSettings(scale=1.0, share=0.0))
    torch.testing.assert_close(
        towers.update(rule, replace(context, feedback=found)),
        towers.update(METHODS["resclip"], context),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", 0.0),
        ("scale", float("nan")),
        ("share", 1.1),
        ("threshold", -0.1),
        ("logit_scale", 0),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"SFR's {name} must be"):
        SfrSettings(**{name: value})
