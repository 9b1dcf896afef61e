"""Mirrored and shifted windows, the class prior, scales and aliases, in a segmenter."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lhtclip import Segmenter, SegmenterConfig, Vocabulary, WindowSettings
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.decoding.aliases import AliasSettings, together
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.decoding.tlp import TlpSettings
from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image, to_pixels
from lhtclip.segmenter.prior import image_feature, with_prior
from lhtclip.segmenter.second_pass import encode_again
from lhtclip.segmenter.windows import in_rows, windows_of
from tests.decoding.full_size import full_size

SCENE = bundled_scenes()[0]
IMAGE = read_image(SCENE.image)
CLASSES = list(SCENE.names)
WINDOWS = WindowSettings(short_side=64, window=48, stride=16)
PAMR = PamrSettings(2, (1, 2))


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def plain() -> Segmenter:
    config = SegmenterConfig("bundled", dtype="float32", windows=WINDOWS, templates="plain")
    return Segmenter.from_config(config)


# Mirrored windows


@pytest.mark.parametrize("method", ["sclip", "resclip-sfr"])
def test_a_mirrored_image_gets_mirrored_labels(plain: Segmenter, method: str) -> None:
    """64 x 80 pixels: windows lie alike from both sides."""
    image = np.ascontiguousarray(IMAGE[:256:4, :320:4])
    both = plain.replace(method=method, windows=replace(WINDOWS, flip=True))
    given, other = (both.segment(each, CLASSES) for each in (image, image[:, ::-1].copy()))
    np.testing.assert_allclose(other.scores[:, ::-1], given.scores, rtol=0, atol=1e-5)
    assert (other.labels[:, ::-1] == given.labels).mean() > 0.999
    alone = plain.replace(method=method).segment(image, CLASSES)
    assert np.abs(alone.scores - given.scores).max() > 0.01


def test_mirroring_averages_cosines(plain: Segmenter) -> None:
    """Of windows with a rest of 2 pixels, which no patch covers."""
    pixels = torch.randn(2, 3, 48, 50, generator=torch.Generator().manual_seed(0))
    both = plain.replace(windows=replace(WINDOWS, flip=True)).runner(pixels)
    whole = pixels[..., :48]
    with torch.inference_mode():
        one, other = plain.encoder(whole), plain.encoder(whole.flip(3)).flip(2)
    torch.testing.assert_close(both, (one + other) / 2)


def test_replacing_does_not_mirror_twice(plain: Segmenter) -> None:
    both = plain.replace(windows=replace(WINDOWS, flip=True))
    again = both.replace(decoding=DecodeSettings(logit_scale=50.0))
    assert again.runner == both.runner
    assert again.replace(windows=WINDOWS).runner is plain.encoder


# Shifted windows


@pytest.mark.parametrize("window", [48, None])
def test_shifts_average_finer_windows(plain: Segmenter, window: int | None) -> None:
    finer = plain.replace(windows=replace(WINDOWS, window=window, shifts=2))
    encoded = finer.encode(IMAGE)
    assert set(np.diff(encoded.plan.tops)) == {8}
    texts = finer.texts.encode(CLASSES)
    logits = full_size(encoded.embeddings @ texts.T, encoded.plan, IMAGE.shape[:2])
    expected = (40 * logits).softmax(dim=0).amax(dim=0)
    given = finer.segment(encoded, CLASSES)
    np.testing.assert_allclose(given.scores, expected.numpy(), rtol=0, atol=1e-5)


# The class prior


@pytest.mark.parametrize("weight", [0.3, -0.3])
def test_prior_adds_cosines_of_the_image(plain: Segmenter, weight: float) -> None:
    encoded = plain.encode(IMAGE)
    vision, levels = plain.checkpoint.model.vision, plain.checkpoint.pixels
    size = (encoded.plan.height, encoded.plan.width)
    pixels = to_pixels(IMAGE, size, mean=levels.mean, std=levels.std)
    with torch.inference_mode():
        feature = F.normalize(vision(pixels[None])[0], dim=0)
        texts = plain.texts.encode(CLASSES)
        cosines = (1 - weight) * (encoded.embeddings @ texts.T) + weight * (texts @ feature)
    torch.testing.assert_close(image_feature(plain, encoded), feature)
    logits = full_size(cosines, encoded.plan, IMAGE.shape[:2])
    expected = (40 * logits).softmax(dim=0).amax(dim=0)
    given = plain.replace(decoding=DecodeSettings(prior=weight)).segment(IMAGE, CLASSES)
    np.testing.assert_allclose(given.scores, expected.numpy(), rtol=0, atol=1e-5)
    assert np.abs(given.scores - plain.segment(IMAGE, CLASSES).scores).max() > 0.01


def test_a_prior_alike_for_all_classes_changes_no_order() -> None:
    cosines = torch.rand(4, 7, generator=torch.Generator().manual_seed(0))
    given = with_prior(cosines, torch.full((7,), 0.2), 0.4)
    assert torch.equal(given.argsort(dim=1), cosines.argsort(dim=1))
    assert torch.equal(with_prior(cosines, torch.ones(7), 0.0), cosines)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="shifts must be at least 1, not 0"):
        WindowSettings(shifts=0)
    with pytest.raises(InputError, match="flip must be True or False, not 1"):
        WindowSettings(flip=1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"prior must lie from -1 to below 1, not 1\.0"):
        DecodeSettings(prior=1.0)


# Several scales


def cosines(segmenter: Segmenter, encoded: EncodedImage, texts: torch.Tensor) -> torch.Tensor:
    embeddings = encoded.embeddings
    if segmenter.encoder.method.second_pass:
        (pixels,) = windows_of(encoded, segmenter.checkpoint, most=1000)
        again = encode_again(segmenter.encoder, pixels, embeddings.flatten(0, 1), texts)
        embeddings = in_rows(again, encoded.plan)
    return embeddings @ texts.T


@pytest.mark.parametrize("method", ["sclip", "resclip-sfr"])
def test_scales_average_full_size_logits(plain: Segmenter, method: str) -> None:
    sides = (64, 48, 95)
    several = plain.replace(method=method, windows=replace(WINDOWS, short_side=sides))
    encoded = several.encode(IMAGE)
    texts = several.texts.encode(CLASSES)
    maps: list[torch.Tensor] = []
    for side in sides:
        alone = plain.replace(method=method, windows=replace(WINDOWS, short_side=side))
        one = alone.encode(IMAGE)
        maps.append(full_size(cosines(alone, one, texts), one.plan, IMAGE.shape[:2]))
    expected = (40 * torch.stack(maps).mean(dim=0)).softmax(dim=0)
    given = several.segment(encoded, CLASSES)
    np.testing.assert_allclose(given.scores, expected.amax(dim=0).numpy(), rtol=0, atol=1e-5)
    probabilities = encoded.probabilities(CLASSES[0], CLASSES)
    np.testing.assert_allclose(probabilities, expected[0].numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", [{"tlp": TlpSettings(20)}, {"prior": 0.3}, {"pamr": PAMR}])
def test_scales_alike_are_one_scale(plain: Segmenter, settings: dict[str, Any]) -> None:
    """Both are limited by the longest side."""
    decoding = DecodeSettings(**settings)
    limit = replace(WINDOWS, long_side=80, short_side=(500, 600))
    several = plain.replace(windows=limit, decoding=decoding)
    alone = plain.replace(windows=replace(limit, short_side=500), decoding=decoding)
    image = IMAGE[:240:4, :320:4]
    given, expected = several.segment(image, CLASSES), alone.segment(image, CLASSES)
    np.testing.assert_allclose(given.scores, expected.scores, rtol=0, atol=1e-5)


def test_scales_are_kept_with_an_encoded_image(plain: Segmenter) -> None:
    several = plain.replace(windows=replace(WINDOWS, short_side=(64, 48)))
    images = [IMAGE, IMAGE[:200], IMAGE[:, :220]]
    encoded = list(several.encode_many(images))
    assert [each.image.shape for each in encoded] == [each.shape for each in images]
    assert [min(scale.plan.height, scale.plan.width) for scale in encoded[1].scales] == [64, 48]
    loaded = pickle.loads(pickle.dumps(encoded[1]))
    assert loaded.fingerprint == encoded[1].fingerprint != several.encode(IMAGE).fingerprint
    sizes = [scale.embeddings.nbytes for scale in loaded.scales]
    assert loaded.nbytes == loaded.image.nbytes + sum(sizes)
    alone = several.segment(loaded, CLASSES)
    np.testing.assert_allclose(
        alone.scores, several.segment(images[1], CLASSES).scores, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("given", [(), (336, 0), (336, 336), (336, 1.5), "336"])
def test_senseless_scales_are_refused(given: Any) -> None:
    with pytest.raises(InputError, match="short_side must be at least 1 pixel, or different"):
        WindowSettings(short_side=given)
    assert WindowSettings(short_side=(64,)) == WindowSettings(short_side=64)


# Aliases


def test_aliases_count_together(plain: Segmenter) -> None:
    words = [["sun", "sunshine", "star"], ["dog", "puppy"], "tree"]
    vocabulary = Vocabulary.of(words, background="wall|sky")
    settings = AliasSettings(2.0, 0.1)
    several = plain.replace(decoding=DecodeSettings(aliases=settings))
    encoded, texts = several.encode(IMAGE), several.texts.encode(vocabulary.queries)
    image = F.normalize(encoded.embeddings.reshape(-1, texts.shape[1]).mean(dim=0), dim=0)
    scores = together(
        encoded.embeddings @ texts.T,
        [[0], [1], [2, 3, 4], [5, 6], [7]],
        texts @ image,
        scale=40.0,
        settings=settings,
    )
    chances = (40 * full_size(scores, encoded.plan, IMAGE.shape[:2])).softmax(dim=0)
    given = several.segment(encoded, vocabulary)
    np.testing.assert_allclose(given.scores, chances.amax(dim=0).numpy(), rtol=0, atol=1e-5)
    found = encoded.probabilities("dog", vocabulary)
    np.testing.assert_allclose(found, chances[3].numpy(), rtol=0, atol=1e-5)
    assert np.abs(given.scores - plain.segment(encoded, vocabulary).scores).max() > 0.01
    refined = several.replace(decoding=DecodeSettings(aliases=settings, tlp=TlpSettings(20)))
    assert refined.segment(encoded, vocabulary).labels.shape == IMAGE.shape[:2]
