"""The one loop, against the same method written out slowly, and against CLIP itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lhtclip import encoder as dense
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError, UnknownNameError
from lhtclip.methods import METHODS, LastBlock, Method
from lhtclip.techniques.atr import AtrSettings, hoyer
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings
from tests.encoders import ALL, ATR, HEADS_CHOSEN, MODEL, SHE, SSR, assert_as_slowly, through
from tests.models import HEADS, LAYERS, PATCH, tiny_clip, tiny_pixels
from tests.waiting import META, Transfers

ONE_PASS = [name for name, method in METHODS.items() if method.second_pass is None]


# Against the formulas


@pytest.mark.parametrize("lht", [OFF, ALL], ids=str)
@pytest.mark.parametrize("method", ONE_PASS)
def test_methods(method: str, lht: LhtSettings) -> None:
    assert_as_slowly(DenseEncoder(MODEL, method=method, lht=lht), tiny_pixels())


@pytest.mark.parametrize(
    "lht",
    [
        LhtSettings(ssr=SSR),
        LhtSettings(ssr=SsrSettings(layers=(1, 4), alpha=-0.3)),
        LhtSettings(atr=ATR),
        LhtSettings(atr=AtrSettings(0.2, 2.0, False, "zero")),
        LhtSettings(she=SHE),
        LhtSettings(ssr=SSR, atr=ATR),
        LhtSettings(ssr=SSR, she=SHE),
        LhtSettings(atr=ATR, she=SHE),
        LhtSettings(SSR, ATR, SheSettings(HEADS_CHOSEN, 0.1, "row", "residual", True, True)),
        LhtSettings(SSR, ATR, SheSettings(HEADS_CHOSEN[:1], 0.0, "column", "none")),
        LhtSettings(SsrSettings(layers=(1, 2, 3, 4)), ATR, SHE),  # heads inside SSR's layers
    ],
    ids=str,
)
def test_techniques(lht: LhtSettings) -> None:
    assert_as_slowly(DenseEncoder(MODEL, method="sclip", lht=lht), tiny_pixels())


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("mlp", [True, False])
def test_what_the_last_block_keeps(residual: bool, mlp: bool) -> None:
    encoder = DenseEncoder(MODEL, method="naclip", lht=ALL, residual=residual, mlp=mlp)
    assert_as_slowly(encoder, tiny_pixels())


@pytest.mark.parametrize("size", [(32, 32), (16, 40), (37, 31), (8, 8)])
def test_grids(size: tuple[int, int]) -> None:
    """Pixels beyond the last whole patch count for nothing."""
    encoder, pixels = DenseEncoder(MODEL, method="naclip", lht=ALL), tiny_pixels(1, *size)
    assert encoder(pixels).shape == (1, size[0] // PATCH, size[1] // PATCH, 24)
    assert_as_slowly(encoder, pixels)


def test_every_technique_shows() -> None:
    """The comparisons above would be worth little if nothing happened in them."""
    pixels, off = tiny_pixels(), LhtSettings(ssr=SsrSettings(layers=()))
    plain = DenseEncoder(MODEL, lht=off)(pixels)
    for lht in (LhtSettings(ssr=SSR), LhtSettings(atr=ATR), LhtSettings(she=SHE)):
        assert (DenseEncoder(MODEL, lht=lht)(pixels) - plain).abs().max() > 0.05
    scores = hoyer(stream_before_last(LhtSettings(ssr=SSR))[:, 1:])
    assert 0.1 < (scores > ATR.threshold).float().mean() < 0.7


# Against CLIP itself


def recorder(seen: list[Tensor]) -> Method:
    """A method that notes what enters the last block's attention and adds nothing."""

    def update(last: LastBlock) -> Tensor:
        seen.append(last.normed)
        return torch.zeros_like(last.normed)

    return Method("recorder", update, residual=True, mlp=False, source="this test")


def recorded(lht: LhtSettings, pixels: Tensor) -> Tensor:
    """Return the normed residual stream that enters the last block."""
    seen: list[Tensor] = []
    DenseEncoder(MODEL, method=recorder(seen), lht=lht)(pixels)
    (x,) = seen
    return x


def stream_before_last(lht: LhtSettings) -> Tensor:
    """Return X^{L-1} itself, by a model whose last norm does nothing but let it pass."""
    model = tiny_clip()
    seen: list[Tensor] = []
    model.vision.blocks[-1].norm1 = torch.nn.Identity()  # pyright: ignore
    DenseEncoder(model, method=recorder(seen), lht=lht)(tiny_pixels())
    return seen[0]


def test_without_techniques_the_stream_is_that_of_clip_bitwise() -> None:
    pixels = tiny_pixels()
    expected = MODEL.vision.blocks[-1].norm1(through(LAYERS - 1, pixels))
    assert torch.equal(recorded(OFF, pixels), expected)


def test_method_clip_is_clip() -> None:
    pixels = tiny_pixels()
    projected = MODEL.vision.project(through(LAYERS, pixels))
    torch.testing.assert_close(projected[:, 0], MODEL.vision(pixels))  # so it is CLIP's own
    expected = torch.nn.functional.normalize(projected[:, 1:], dim=-1).unflatten(1, (4, 6))
    given = DenseEncoder(MODEL, method="clip")(pixels)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ONE_PASS)
def test_techniques_that_change_nothing_are_off_bitwise(method: str) -> None:
    pixels, published = tiny_pixels(), METHODS[method]
    nothing = LhtSettings(SsrSettings(layers=(1, 2, 3, 4), alpha=0.0), AtrSettings(threshold=1.0))
    idle = DenseEncoder(
        MODEL, method=method, lht=nothing, residual=published.residual, mlp=published.mlp
    )
    assert torch.equal(idle(pixels), DenseEncoder(MODEL, method=method)(pixels))


# The class token, the order


@pytest.mark.parametrize("ssr", [None, SSR])
def test_class_token_is_neither_replaced_nor_smoothed(ssr: SsrSettings | None) -> None:
    pixels = tiny_pixels()
    everything = AtrSettings(threshold=0.0, surrounded="zero")
    plain = recorded(LhtSettings(ssr=ssr), pixels)
    for lht in (
        LhtSettings(ssr, everything),
        LhtSettings(ssr, None, SHE),
        LhtSettings(ssr, ATR, SHE),
    ):
        x = recorded(lht, pixels)
        assert torch.equal(x[:, 0], plain[:, 0])
        assert not torch.equal(x[:, 1:], plain[:, 1:])


def test_reweighting_reaches_the_class_token() -> None:
    pixels = tiny_pixels()
    one, other = recorded(OFF, pixels), recorded(LhtSettings(ssr=SSR), pixels)
    assert not torch.equal(one[:, 0], other[:, 0])


def test_order_is_ssr_atr_she(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def noting(name: str) -> Callable[..., Tensor]:
        function = getattr(dense, name)

        def noted(*arguments: Any, **options: Any) -> Tensor:
            calls.append(name)
            return function(*arguments, **options)

        return noted

    for name in ("reweight", "replace_abnormal", "enhance"):
        monkeypatch.setattr(dense, name, noting(name))
    DenseEncoder(MODEL, lht=ALL)(tiny_pixels())
    assert calls == ["reweight"] * 2 * (LAYERS - 1) + ["replace_abnormal", "enhance"]


# The result


def test_embeddings_have_unit_length() -> None:
    embeddings = DenseEncoder(MODEL, lht=ALL)(tiny_pixels(3, 24, 40))
    assert embeddings.shape == (3, 3, 5, 24)
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(3, 3, 5))


@pytest.mark.parametrize("lht", [OFF, ALL], ids=str)
@pytest.mark.parametrize("method", ONE_PASS)
def test_batch_is_images_one_by_one(method: str, lht: LhtSettings) -> None:
    encoder, pixels = DenseEncoder(MODEL, method=method, lht=lht), tiny_pixels(5)
    alone = torch.cat([encoder(image[None]) for image in pixels])
    torch.testing.assert_close(encoder(pixels), alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ONE_PASS)
def test_bfloat16_gives_float32_near_the_exact_embeddings(method: str) -> None:
    rounded, pixels = tiny_clip().bfloat16(), tiny_pixels()
    lht = LhtSettings(SSR, AtrSettings(), SheSettings(HEADS_CHOSEN, beta=0.0))  # nothing jumps
    given = DenseEncoder(rounded, method=method, lht=lht)(pixels.bfloat16())
    exact = DenseEncoder(MODEL, method=method, lht=lht)(pixels)
    assert given.dtype == torch.float32
    assert (given * exact).sum(dim=-1).min() > 0.99


def test_float64_is_near_float32() -> None:
    exact = DenseEncoder(tiny_clip().double(), lht=ALL)(tiny_pixels().double())
    assert exact.dtype == torch.float32
    torch.testing.assert_close(
        DenseEncoder(MODEL, lht=ALL)(tiny_pixels()), exact, rtol=0, atol=1e-5
    )


# Settings


@pytest.mark.parametrize("method", ONE_PASS)
def test_residual_and_mlp_by_default(method: str) -> None:
    published, plain = METHODS[method], DenseEncoder(MODEL, method=method)
    assert (plain.residual, plain.mlp) == (published.residual, published.mlp)
    for lht in (LhtSettings(ssr=SSR), LhtSettings(atr=ATR), LhtSettings(she=SHE), ALL):
        encoder = DenseEncoder(MODEL, method=method, lht=lht)
        assert (encoder.residual, encoder.mlp) == (False, False)


@pytest.mark.parametrize("lht", [OFF, ALL], ids=str)
def test_residual_and_mlp_as_asked(lht: LhtSettings) -> None:
    encoder = DenseEncoder(MODEL, method="sclip", lht=lht, residual=True, mlp=False)
    assert (encoder.residual, encoder.mlp) == (True, False)
    encoder = DenseEncoder(MODEL, method="clearclip", lht=lht, mlp=True)
    assert (encoder.residual, encoder.mlp) == (False, True)
    other = encoder.with_method(METHODS["sclip"])
    assert (other.residual, other.mlp, other.lht) == (False, True, lht)


def test_settings_tell_encoders_apart() -> None:
    encoder = DenseEncoder(tiny_clip(), lht=ALL)
    assert encoder.settings() == DenseEncoder(tiny_clip(), lht=ALL).settings()
    assert encoder.settings() == json.loads(json.dumps(encoder.settings()))
    for other in (
        DenseEncoder(tiny_clip(seed=1), lht=ALL),
        DenseEncoder(MODEL, lht=replace(ALL, ssr=None)),
        DenseEncoder(MODEL, lht=ALL, mlp=True),
        DenseEncoder(MODEL, method="naclip", lht=ALL),
    ):
        assert other.settings() != encoder.settings()


def test_settings_of_ones_own_method_tell_encoders_apart() -> None:
    """Whatever the method does with them."""

    @dataclass(frozen=True)
    class Settings:
        beta: float

    def update(last: LastBlock, settings: Settings) -> Tensor:
        return torch.tanh(settings.beta * last.normed)

    one, nine = (
        DenseEncoder(
            MODEL, method=Method("mine", update, False, False, "this test", Settings(beta))
        )
        for beta in (1.0, 9.0)
    )
    assert one.settings()["method_settings"] == {"beta": 1.0}
    assert one.settings() != nine.settings()
    assert (one(tiny_pixels()) - nine(tiny_pixels())).abs().max() > 1e-3


def test_a_method_of_ones_own() -> None:
    pixels = tiny_pixels()
    given = DenseEncoder(MODEL, method=recorder([]))(pixels)  # keeps the stream as it is
    expected = MODEL.vision.project(through(LAYERS - 1, pixels)[:, 1:])
    expected = torch.nn.functional.normalize(expected, dim=-1).unflatten(1, (4, 6))
    assert torch.equal(given, expected)


def test_unknown_method() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'sclip'"):
        DenseEncoder(MODEL, method="sclp")


@pytest.mark.parametrize("layer", [LAYERS, LAYERS + 1])
def test_ssr_in_a_layer_that_is_not_there(layer: int) -> None:
    with pytest.raises(InputError, match=f"SSR cannot act in layer {layer}; .* from 1 to 4"):
        DenseEncoder(MODEL, lht=LhtSettings(ssr=SsrSettings(layers=(1, layer))))


@pytest.mark.parametrize("head", [(LAYERS, 1), (1, HEADS + 1)])
def test_she_with_a_head_that_is_not_there(head: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"head {head[0]}-{head[1]}; .* heads 1 to 4"):
        DenseEncoder(MODEL, lht=LhtSettings(she=SheSettings(heads=((1, 1), head))))


def test_one_layer_is_enough() -> None:
    model, pixels = tiny_clip(layers=1), tiny_pixels()
    encoder = DenseEncoder(model, lht=LhtSettings(atr=ATR))
    assert_as_slowly(encoder, pixels)
    assert np.isfinite(encoder(pixels).numpy()).all()


# Accelerators


@pytest.mark.parametrize("lht", [OFF, ALL], ids=str)
@pytest.mark.parametrize("method", [name for name in ONE_PASS if name != "scclip"])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_nothing_waits_for_the_device(method: str, lht: LhtSettings, size: tuple[int, int]) -> None:
    """SC-CLIP counts patches to choose among its neighbours; the others ask the device nothing."""
    encoder = DenseEncoder(tiny_clip().to(META), method=method, lht=lht)
    pixels = torch.empty(2, 3, *size, device=META)
    with Transfers() as transfers:
        embeddings = encoder(pixels)
    assert embeddings.shape == (2, size[0] // PATCH, size[1] // PATCH, 24)
    assert transfers.count == 0
