"""What a segmenter's settings of decoding come to in its results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lhtclip import Segmentation, Segmenter, WindowSettings
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings

SCENE = bundled_scenes()[0]
WINDOWS = WindowSettings(short_side=64, window=48, stride=32)


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def plain() -> Segmenter:
    return Segmenter.from_pretrained("bundled", dtype="float32", windows=WINDOWS)


def segment(
    plain: Segmenter, decoding: DecodeSettings, threshold: float | None = None
) -> Segmentation:
    segmenter = Segmenter(
        plain.checkpoint, plain.encoder, plain.texts, windows=WINDOWS, decoding=decoding
    )
    return segmenter.segment(
        SCENE.image, list(SCENE.names), background="nothing", threshold=threshold
    )


def test_defaults() -> None:
    assert Segmenter.from_pretrained("bundled").decoding == DecodeSettings(40.0, 0.0, 0.0, None)


def test_a_threshold_given_wins_over_that_of_the_settings(plain: Segmenter) -> None:
    scores = segment(plain, DecodeSettings()).scores
    low, high = np.quantile(scores, [0.2, 0.6])
    shares = {
        (own, given): segment(plain, DecodeSettings(threshold=own), given).coverage()["background"]
        for own, given in (
            (0.0, None),
            (high, None),
            (low, high),
            (high, low),
            (low, None),
            (high, 0.0),
        )
    }
    assert shares[0.0, None] == shares[high, 0.0] < shares[low, None] < shares[high, None]
    assert shares[low, high] == shares[high, None]
    assert shares[high, low] == shares[low, None]


def test_an_encoded_image_knows_the_settings_too(plain: Segmenter) -> None:
    strict = Segmenter(
        plain.checkpoint,
        plain.encoder,
        plain.texts,
        windows=WINDOWS,
        decoding=DecodeSettings(threshold=1.0),
    )
    result = strict.encode(SCENE.image).segment(list(SCENE.names), background="nothing")
    assert result.coverage()["background"] == 1
    result = strict.encode(SCENE.image).segment(list(SCENE.names), threshold=0.0)
    assert not result.background


def test_area_threshold_strikes_small_classes(plain: Segmenter) -> None:
    before = segment(plain, DecodeSettings()).coverage()
    after = segment(plain, DecodeSettings(area_threshold=0.15)).coverage()
    foreground = 1 - before["background"]
    small = [
        n for n, share in before.items() if n != "background" and 0 < share <= 0.15 * foreground
    ]
    assert small
    assert not any(after[name] for name in small)


def test_pamr_makes_regions_that_follow_the_image(plain: Segmenter) -> None:
    before, after = (segment(plain, DecodeSettings(pamr=pamr)) for pamr in (None, PamrSettings()))
    assert 0.002 < (before.labels != after.labels).mean() < 0.3
