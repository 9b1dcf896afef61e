"""The result object, its colours and its drawing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lhtclip.errors import InputError, UnknownNameError
from lhtclip.output.palette import palette
from lhtclip.output.png import decode_labels
from lhtclip.segmentation import Segmentation, label_dtype

NAMES = ("sky", "grass", "cow")


def make(**changes: Any) -> Segmentation:
    labels = np.zeros((40, 60), np.uint8)
    labels[20:] = 1
    labels[25:35, 20:40] = 2
    parts: dict[str, Any] = {
        "labels": labels,
        "scores": np.full((40, 60), 0.5, np.float32),
        "names": NAMES,
        "image": np.full((40, 60, 3), 200, np.uint8),
    }
    return Segmentation(**(parts | changes))


def test_mask_and_coverage() -> None:
    result = make()
    assert result.mask("cow").sum() == 200
    assert result.mask("cow").dtype == bool
    assert result.coverage() == {"sky": 0.5, "grass": 1000 / 2400, "cow": 200 / 2400}


def test_unknown_name_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'grass'"):
        make().mask("gras")


def test_ignored_pixels_belong_to_no_class() -> None:
    labels = make().labels.copy()
    labels[:20] = 255
    result = make(labels=labels)
    assert result.coverage()["sky"] == 0
    assert sum(result.coverage().values()) == 0.5
    assert not any(result.mask(name)[:20].any() for name in NAMES)


def test_to_dict_is_json() -> None:
    told = json.loads(json.dumps(make(background=0).to_dict()))
    assert (told["width"], told["height"], told["background"]) == (60, 40, 0)
    assert [entry["name"] for entry in told["classes"]] == list(NAMES)
    assert [entry["index"] for entry in told["classes"]] == [0, 1, 2]
    assert told["classes"][0]["colour"] == "#404040"
    assert told["classes"][2]["colour"] == "#" + bytes(palette(3)[2]).hex()
    assert told["classes"][0]["share"] == 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"names": ()}, "1 to 65535"),
        ({"names": ("sky", "sky", "cow")}, "different"),
        ({"names": ("sky", "grass")}, "Label 2 has no name"),
        ({"labels": np.zeros((40, 60), np.int64)}, "uint8, got int64"),
        ({"labels": np.zeros((40, 60), np.uint16)}, "uint8, got uint16"),
        ({"labels": np.zeros((40, 60, 1), np.uint8)}, "40, 60, 1"),
        ({"labels": np.zeros((0, 60), np.uint8)}, "non-empty"),
        ({"names": tuple(str(n) for n in range(256))}, "uint16, got uint8"),
        ({"scores": np.zeros((40, 61), np.float32)}, "40, 61"),
        ({"scores": np.zeros((40, 60), np.float64)}, "float64"),
        ({"image": np.zeros((40, 60), np.uint8)}, "(40, 60, 3)"),
        ({"image": np.zeros((40, 60, 3), np.float32)}, "float32"),
        ({"background": 3}, "below 3"),
        ({"background": -1}, "-1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make(**changes)
    assert words in str(caught.value)


def test_label_dtype_leaves_room_for_ignored() -> None:
    assert label_dtype(255) == np.uint8
    assert label_dtype(256) == np.uint16


def test_save_keeps_indices_and_colours(tmp_path: Path) -> None:
    result = make(background=0)
    path = result.save(tmp_path / "new folder" / "labels.PNG")
    np.testing.assert_array_equal(decode_labels(path), result.labels)
    with Image.open(path) as picture:
        assert picture.mode == "P"
        seen = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(seen, result.colours[result.labels])
    assert [file.name for file in path.parent.iterdir()] == ["labels.PNG"]


def test_save_many_classes(tmp_path: Path) -> None:
    names = tuple(f"class {n}" for n in range(300))
    labels = np.arange(300, dtype=np.uint16).reshape(15, 20)
    result = Segmentation(labels, np.ones((15, 20), np.float32), names)
    assert np.array_equal(decode_labels(result.save(str(tmp_path / "a.png"))), labels)


@pytest.mark.parametrize("name", ["labels.jpg", "labels"])
def test_save_refuses_formats_that_lose(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"\.png"):
        make().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_overlay_tints_each_region_and_outlines_them() -> None:
    result = make()
    drawn = np.asarray(result.overlay(opacity=0.5, legend=False)).astype(int)
    assert drawn.shape == (40, 60, 3)
    for row, column, index in ((5, 5, 0), (38, 5, 1), (30, 30, 2)):
        expected = (200 + result.colours[index].astype(int)) / 2
        np.testing.assert_allclose(drawn[row, column], expected, atol=1.5)
    assert drawn[20, 5].min() > drawn[5, 5].min() + 30  # the white line between sky and grass


def test_overlay_without_opacity_is_the_photo_between_the_lines() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    drawn = np.asarray(make(image=image).overlay(opacity=0, legend=False))
    np.testing.assert_array_equal(drawn[:17], image[:17])


def test_overlay_shows_ignored_pixels_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    labels = np.full((40, 60), 255, np.uint8)
    drawn = make(image=image, labels=labels).overlay(legend=False)
    np.testing.assert_array_equal(np.asarray(drawn), image)


def colours_of(picture: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(np.asarray(picture).reshape(-1, 3), axis=0)}


def test_legend_lists_the_classes_present_only() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[:, 30:] = 2
    result = make(labels=labels)
    drawn = result.overlay()
    below = drawn.crop((0, 40, drawn.width, drawn.height))
    shown = colours_of(below)
    sky, grass, cow = (tuple(int(level) for level in colour) for colour in result.colours)
    assert sky in shown
    assert cow in shown
    assert grass not in shown
    assert drawn.height > 40


def test_legend_fits_long_names_and_wraps() -> None:
    short = make().overlay()
    long = make(names=("sky", "a very long name that is wider than the picture", "cow")).overlay()
    assert long.width > 60
    assert long.height > 40
    right_edge = np.asarray(long)[40:, -5:]
    assert right_edge.min() == 255
    assert short.height > 40


def test_legend_of_names_that_the_font_lacks() -> None:
    drawn = make(names=("café", "猫", "cow")).overlay()
    plain = make(names=("cafe", "class 1", "cow")).overlay()
    np.testing.assert_array_equal(np.asarray(drawn), np.asarray(plain))


def test_overlay_of_one_pixel_and_of_every_ignored_pixel() -> None:
    parts = {"scores": np.ones((1, 1), np.float32), "image": np.zeros((1, 1, 3), np.uint8)}
    assert make(labels=np.zeros((1, 1), np.uint8), **parts).overlay().height > 1
    assert make(labels=np.full((1, 1), 255, np.uint8), **parts).overlay().mode == "RGB"


def test_overlay_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image"):
        make(image=None).overlay()
    with pytest.raises(InputError, match=r"\[0, 1\], got 1.5"):
        make().overlay(opacity=1.5)
    with pytest.raises(InputError, match=r"font .*gone\.ttf"):
        make().overlay(font=tmp_path / "gone.ttf")


@given(short=st.integers(0, 300), more=st.integers(0, 300))
def test_colours_do_not_depend_on_the_count(short: int, more: int) -> None:
    assert palette(short).shape == (short, 3)
    np.testing.assert_array_equal(palette(short + more)[:short], palette(short))


def test_colours_of_neighbours_and_of_the_first_256_differ() -> None:
    colours = palette(65535).astype(int)
    assert np.abs(np.diff(colours, axis=0)).max(axis=1).min() > 50
    assert len(np.unique(colours[:256], axis=0)) == 256


# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


@pytest.mark.parametrize(
    ("vision", "apart"), [("normal", 0.14), ("protanopia", 0.12), ("deuteranopia", 0.08)]
)
def test_first_eight_colours_stay_apart(vision: str, apart: float) -> None:
    levels = palette(8) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISIONS[vision].T, 0, 1)
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_oklab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    oklab = np.cbrt(seen @ to_cones.T) @ to_oklab.T
    distances = np.linalg.norm(oklab[:, None] - oklab[None], axis=-1)
    assert distances[~np.eye(8, dtype=bool)].min() > apart
