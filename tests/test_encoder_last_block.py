"""What the loop shows a method, and methods that look further than the last block."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch
from torch import Tensor

from lhtclip.clip.model import Clip
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError
from lhtclip.methods import METHODS, LastBlock, Method
from lhtclip.techniques.settings import OFF, LhtSettings
from tests.encoders import ALL, ATR, MODEL, SHE, SSR, assert_as_slowly, through
from tests.models import LAYERS, tiny_clip, tiny_pixels

ONE_PASS = [name for name, method in METHODS.items() if method.second_pass is None]


def onlooker(seen: list[LastBlock], layers: Collection[int]) -> Method:
    """A method that notes what it is given and adds nothing."""

    def update(last: LastBlock) -> Tensor:
        seen.append(last)
        return torch.zeros_like(last.x)

    return Method(
        "onlooker", update, residual=True, mlp=False, source="this test", reads=lambda depth: layers
    )


def last_block(lht: LhtSettings, layers: Collection[int]) -> LastBlock:
    seen: list[LastBlock] = []
    DenseEncoder(MODEL, method=onlooker(seen, layers), lht=lht)(tiny_pixels())
    (last,) = seen
    return last


def test_streams_are_those_asked_for() -> None:
    last = last_block(OFF, (0, 2, 3))
    assert (last.grid, last.class_tokens) == ((4, 6), 1)
    assert list(last.blocks) == list(MODEL.vision.blocks)
    assert set(last.streams) == {0, 2, 3, LAYERS - 1}
    for layer, stream in last.streams.items():
        assert torch.equal(stream, through(layer, tiny_pixels()))
    block = MODEL.vision.blocks[-1]
    assert last.attention is block.attention
    assert last.x is last.streams[LAYERS - 1]
    assert torch.equal(last.normed, block.norm1(last.x))


def test_streams_of_late_layers_are_reweighted() -> None:
    last, plain = last_block(LhtSettings(ssr=SSR), (2, 3)), last_block(OFF, (2, 3))
    assert torch.equal(last.streams[2], plain.streams[2])
    assert not torch.equal(last.streams[3], plain.streams[3])


def test_the_last_stream_is_restored_and_others_can_be() -> None:
    for lht in (ALL, LhtSettings(ssr=SSR, atr=ATR), LhtSettings(ssr=SSR, she=SHE)):
        last, before = last_block(lht, (3,)), last_block(LhtSettings(ssr=SSR), (3,))
        assert torch.equal(last.streams[3], before.streams[3])
        raw, restored = before.streams[LAYERS - 1], last.streams[LAYERS - 1]
        assert torch.equal(last.restore(raw[:, 1:]), restored[:, 1:])
        assert not torch.equal(raw, restored)


def test_nothing_to_restore() -> None:
    last = last_block(LhtSettings(ssr=SSR), ())
    patches = last.streams[LAYERS - 1][:, 1:]
    assert torch.equal(last.restore(patches), patches)


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
    model.vision.embed = lambda *given, **named: with_class_token(*given, **named)[:, 1:]
    return model


@pytest.mark.parametrize("lht", [OFF, ALL], ids=str)
@pytest.mark.parametrize("method", ONE_PASS)
def test_without_class_token(method: str, lht: LhtSettings) -> None:
    assert_as_slowly(DenseEncoder(headless_clip(), method=method, lht=lht), tiny_pixels())
