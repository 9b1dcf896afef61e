"""What the loop shows a rule, and methods that look further than the last block."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch
from torch import Tensor

from lhtclip.clip.model import Clip
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError
from lhtclip.methods import Context, FirstRun, LastAttention, Method
from lhtclip.techniques.settings import OFF, LhtSettings
from tests.models import LAYERS, tiny_clip, tiny_pixels
from tests.test_encoder import (
    ALL,
    ATR,
    MODEL,
    SHE,
    SSR,
    WITHOUT_FEEDBACK,
    assert_as_slowly,
    through,
)


def onlooker(seen: list[Context], layers: Collection[int]) -> Method:
    """A rule that notes its context and adds nothing."""

    def mix(attention: LastAttention, x: Tensor, context: Context) -> Tensor:
        del attention
        seen.append(context)
        return torch.zeros_like(x)

    return Method(
        "onlooker", mix, residual=True, mlp=False, source="this test", reads=lambda depth: layers
    )


def context_of(lht: LhtSettings, layers: Collection[int]) -> Context:
    seen: list[Context] = []
    DenseEncoder(MODEL, method=onlooker(seen, layers), lht=lht)(tiny_pixels())
    (context,) = seen
    return context


def test_streams_are_those_asked_for() -> None:
    context = context_of(OFF, (0, 2, 3))
    assert (context.grid, context.class_tokens) == ((4, 6), 1)
    assert list(context.blocks) == list(MODEL.vision.blocks)
    assert set(context.streams) == {0, 2, 3, LAYERS - 1}
    for layer, stream in context.streams.items():
        assert torch.equal(stream, through(layer, tiny_pixels()))


def test_streams_of_late_layers_are_reweighted() -> None:
    context, plain = context_of(LhtSettings(ssr=SSR), (2, 3)), context_of(OFF, (2, 3))
    assert torch.equal(context.streams[2], plain.streams[2])
    assert not torch.equal(context.streams[3], plain.streams[3])


def test_the_last_stream_is_restored_and_others_can_be() -> None:
    for lht in (ALL, LhtSettings(ssr=SSR, atr=ATR), LhtSettings(ssr=SSR, she=SHE)):
        context, before = context_of(lht, (3,)), context_of(LhtSettings(ssr=SSR), (3,))
        assert torch.equal(context.streams[3], before.streams[3])
        raw, restored = before.streams[LAYERS - 1], context.streams[LAYERS - 1]
        assert torch.equal(context.restore(raw[:, 1:]), restored[:, 1:])
        assert not torch.equal(raw, restored)


def test_nothing_to_restore() -> None:
    context = context_of(LhtSettings(ssr=SSR), ())
    patches = context.streams[LAYERS - 1][:, 1:]
    assert torch.equal(context.restore(patches), patches)


# Feedback


def test_a_first_run_steers_the_second() -> None:
    contexts: list[Context] = []
    firsts: list[FirstRun] = []

    def mix(attention: LastAttention, x: Tensor, context: Context) -> Tensor:
        contexts.append(context)
        return x if context.feedback is None else x * context.feedback

    def feedback(first: FirstRun) -> Tensor:
        firsts.append(first)
        return torch.linspace(0.5, 2, 64)

    rule = Method("steered", mix, residual=False, mlp=False, source="this test", feedback=feedback)
    pixels, texts = tiny_pixels(), torch.eye(3, 24)
    given = DenseEncoder(MODEL, method=rule)(pixels, texts=texts)
    (first,) = firsts
    assert [context.feedback is None for context in contexts] == [True, False]
    assert (first.texts is texts, first.pixels is pixels, first.patch) == (True, True, 8)
    x = MODEL.vision.blocks[-1].norm1(through(LAYERS - 1, pixels))[:, 1:]
    for embeddings, stream in ((first.embeddings, x), (given, x * torch.linspace(0.5, 2, 64))):
        expected = torch.nn.functional.normalize(MODEL.vision.project(stream), dim=-1)
        torch.testing.assert_close(embeddings, expected.unflatten(1, (4, 6)))
    with pytest.raises(InputError, match="'steered' looks at a first segmentation, so it needs"):
        DenseEncoder(MODEL, method=rule)(pixels)


# Methods


@pytest.mark.parametrize("method", ["resclip", "scclip"])
def test_methods_that_need_a_layer_before_the_last(method: str) -> None:
    with pytest.raises(InputError, match="this model has 0 of them"):
        DenseEncoder(tiny_clip(layers=1), method=method)


@pytest.mark.parametrize("method", ["resclip", "scclip", "gem", "clip-surgery"])
def test_grids_of_methods_that_read_more(method: str) -> None:
    for size in ((32, 32), (8, 8)):
        assert_as_slowly(DenseEncoder(MODEL, method=method, lht=ALL), tiny_pixels(1, *size))


def headless_clip() -> Clip:
    """A tower without class token, in all else the same."""
    model = tiny_clip()
    with_class_token = model.vision.embed
    model.vision.class_tokens = 0  # pyright: ignore[reportAttributeAccessIssue]
    model.vision.embed = lambda pixels: with_class_token(pixels)[:, 1:]
    return model


@pytest.mark.parametrize("lht", [OFF, ALL], ids=str)
@pytest.mark.parametrize("method", WITHOUT_FEEDBACK)
def test_without_class_token(method: str, lht: LhtSettings) -> None:
    assert_as_slowly(DenseEncoder(headless_clip(), method=method, lht=lht), tiny_pixels())
