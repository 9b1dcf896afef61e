"""PTC against its formula, patch by patch, and in a segmenter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip import Segmenter, SegmenterConfig, WindowSettings
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.decoding.ptc import PtcSettings, calibrated
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image
from tests.decoding.full_size import full_size
from tests.literal.basics import Array

FEW = PtcSettings(strength=0.3, least=3, share=0.25, saturation=2.0)


def unit(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def slowly(texts: Array, patches: Array, settings: PtcSettings) -> Array:
    won: list[list[tuple[float, int]]] = [[] for _ in texts]
    for i, patch in enumerate(patches):
        scores = [float(text @ patch) / float(np.linalg.norm(patch)) for text in texts]
        order = sorted(range(len(texts)), key=lambda c: -scores[c])
        won[order[0]].append((scores[order[0]] - scores[order[1]], i))
    result = texts.copy()
    for c, found in enumerate(won):
        if len(found) < settings.least:
            continue
        count = min(len(found), max(settings.least, math.floor(settings.share * len(found))))
        surest = sorted(found, reverse=True)[:count]
        total = sum(lead for lead, _ in surest)
        prototype = sum(
            (lead / total * patches[i] / np.linalg.norm(patches[i]) for lead, i in surest),
            start=np.zeros(texts.shape[1]),
        )
        full = math.log(1 + settings.saturation * settings.least)
        mu = settings.strength * min(1, math.log(1 + count) / full)
        moved = (1 - mu) * texts[c] + mu * prototype
        result[c] = moved / np.linalg.norm(moved)
    return result


@pytest.mark.parametrize("settings", [FEW, PtcSettings(), replace(FEW, saturation=0.5)], ids=str)
def test_texts_move_by_the_formula(settings: PtcSettings) -> None:
    texts, patches = unit(5, 8), 0.7 * unit(160, 8, seed=1)
    expected = slowly(texts.numpy(), patches.numpy(), settings)
    given = calibrated(texts, patches, settings)
    np.testing.assert_allclose(given.numpy(), expected, rtol=0, atol=1e-12)
    assert (given != texts).any()


def test_texts_without_enough_patches_stay() -> None:
    texts, patches = unit(40, 8), unit(100, 8, seed=1)
    winners = (patches @ texts.T).argmax(dim=1).bincount(minlength=40)
    moved = (calibrated(texts, patches, FEW) != texts).any(dim=1)
    assert moved.tolist() == (winners >= 3).tolist()
    assert 0 < moved.sum() < 40
    assert torch.equal(calibrated(texts[:1], patches, FEW), texts[:1])
    assert torch.equal(calibrated(texts, patches, replace(FEW, least=101)), texts)


def test_a_moved_text_is_nearer_to_its_patches() -> None:
    texts, patches = unit(4, 8), unit(200, 8, seed=1)
    winners = (patches @ texts.T).argmax(dim=1)
    moved = calibrated(texts, patches, FEW)
    for c in range(4):
        own = patches[winners == c]
        assert (own @ moved[c]).mean() > (own @ texts[c]).mean()


# In a segmenter


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("prior", [0.0, 0.3])
def test_all_scales_of_an_image_calibrate_its_texts(prior: float) -> None:
    scene = bundled_scenes()[0]
    image, classes = read_image(scene.image), list(scene.names)
    windows = WindowSettings(short_side=(64, 96), window=48, stride=16)
    decoding = DecodeSettings(ptc=FEW, prior=prior)
    segmenter = Segmenter.from_config(
        SegmenterConfig("bundled", dtype="float32", windows=windows, templates="plain")
    )
    encoded = segmenter.encode(image)
    texts = segmenter.texts.encode(classes)
    patches = torch.cat([each.embeddings.flatten(0, 3) for each in encoded.scales])
    moved = calibrated(texts, patches, FEW)
    assert (moved - texts).abs().max() > 0.01
    whole = segmenter.checkpoint.model.vision(
        segmenter.checkpoint.to_pixels(image, (encoded.plan.height, encoded.plan.width))[None]
    )
    of_the_image = texts @ F.normalize(whole[0].float(), dim=0)
    logits = [
        full_size(
            (1 - prior) * (each.embeddings @ moved.T) + prior * of_the_image,
            each.plan,
            image.shape[:2],
        )
        for each in encoded.scales
    ]
    expected = (40 * torch.stack(logits).mean(dim=0)).softmax(dim=0).amax(dim=0)
    given = segmenter.replace(decoding=decoding).segment(image, classes)
    np.testing.assert_allclose(given.scores, expected.numpy(), rtol=0, atol=1e-5)


def test_settings_out_of_range_are_refused() -> None:
    for changes, message in (
        ({"strength": 1.0}, r"strength must be from 0 to below 1, not 1\.0"),
        ({"least": 0}, "least must be at least 1 patch, not 0"),
        ({"share": 2}, "share must be from 0 to 1, not 2"),
        ({"saturation": 0}, "saturation must be above 0, not 0"),
    ):
        with pytest.raises(InputError, match=message):
            PtcSettings(**changes)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="ptc must be PtcSettings or None, not True"):
        DecodeSettings(ptc=True)  # pyright: ignore[reportArgumentType]
