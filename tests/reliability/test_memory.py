"""Memory is bounded for every image and setting, or refused with the figure."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from lhtclip import Segmenter
from lhtclip.decoding import decode as decoding
from lhtclip.errors import InputError
from lhtclip.image import pixels
from lhtclip.image.pixels import to_pixels
from lhtclip.image.windows import WindowSettings
from lhtclip.segmenter.memory import check_strip


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_pretrained("bundled", templates="plain", text_cache=False)


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_strip_takes_as_much_as_its_pixels(segmenter: Segmenter) -> None:
    strip = image(1, 300_000)
    tracemalloc.start()
    overlay = segmenter.segment(strip, ["car", "road"]).overlay()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 300e6  # numpy's; Pillow's are in the legend's size
    assert overlay.width * overlay.height < 300_000 * 400


def test_rectangles_are_decoded_as_the_whole(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = image(150, 260)
    whole = segmenter.segment(photo, ["car", "road", "sky"])
    monkeypatch.setattr(decoding, "AXIS_FLOATS", 28 * 40)
    parts = segmenter.segment(photo, ["car", "road", "sky"])
    np.testing.assert_array_equal(parts.labels, whole.labels)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-5)


def test_windows_go_through_in_parts(segmenter: Segmenter) -> None:
    photo = image(100, 300)
    one = Segmenter(
        segmenter.checkpoint,
        segmenter.encoder,
        segmenter.texts,
        windows=replace(segmenter.windows, batch=1),
    )
    torch.testing.assert_close(one.encode(photo).embeddings, segmenter.encode(photo).embeddings)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (WindowSettings(stride=1, short_side=1000), "windows"),
        (WindowSettings(window=None, short_side=2048), "1 windows of"),
        (WindowSettings(short_side=60_000, long_side=60_000), "GB of memory"),
    ],
    ids=str,
)
def test_settings_beyond_the_limit_are_refused_with_the_figure(
    segmenter: Segmenter, settings: WindowSettings, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LHTCLIP_MEMORY_GB", "2")
    large = Segmenter(segmenter.checkpoint, segmenter.encoder, segmenter.texts, windows=settings)
    with pytest.raises(InputError, match=r"\d GB of memory; at most 2 GB") as caught:
        large.encode(image(64, 64))
    assert named in str(caught.value)


def test_strips_of_rasters_beyond_the_limit_are_refused_with_the_figure() -> None:
    check_strip(30_000, 224)
    with pytest.raises(InputError, match=r"30\.1 GB .*at most 8 GB.*--scale"):
        check_strip(2_240_000, 224)


def test_prompts_beyond_the_limit_are_refused_with_the_figure(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = segmenter.encode(image(64, 64))
    monkeypatch.setenv("LHTCLIP_MEMORY_GB", "0.00001")
    with pytest.raises(InputError, match="2 prompts at"):
        encoded.segment(["car", "road"])
    monkeypatch.setenv("LHTCLIP_MEMORY_GB", "much")
    with pytest.raises(InputError, match="LHTCLIP_MEMORY_GB must be"):
        encoded.segment(["car", "road"])


def test_very_large_images_are_resized_from_the_pixels_that_take_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = image(301, 407)
    whole = to_pixels(photo, (70, 96), mean=(0, 0, 0), std=(1, 1, 1))
    monkeypatch.setattr(pixels, "_WHOLE_PIXELS", 1)
    parts = to_pixels(photo, (70, 96), mean=(0, 0, 0), std=(1, 1, 1))
    difference = (parts - whole).abs() * 255
    assert difference.max() <= 1.01
    assert (difference > 0.5).float().mean() < 0.001
