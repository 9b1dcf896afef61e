"""The page in a real browser: drop an image, type classes, compare, probe, download."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip import Segmenter, WindowSettings
from lhtclip.datasets.scene_files import bundled_scenes
from tests.browser.actions import answered, ask, download, drop

SCENE = bundled_scenes()[1]
CLASSES = ["|".join(names) for names in SCENE.classes]
WORDS = ", ".join(CLASSES)


@pytest.fixture
def loaded(page: Any) -> Any:
    """The page with a scene and all of its classes."""
    drop(page, "scene.png", SCENE.image.read_bytes())
    page.wait_for_selector("#left:not([hidden])")
    ask(page, WORDS)
    return page


def test_what_is_shown_and_downloaded_is_what_the_library_says(loaded: Any) -> None:
    result = Segmenter.from_pretrained("bundled").segment(SCENE.image, WORDS)
    labels = np.array(Image.open(io.BytesIO(download(loaded, "labels"))))
    assert (labels == result.labels).mean() > 0.999
    legend = loaded.locator("#legend .name").all_inner_texts()
    shares = result.coverage()
    assert legend == sorted(result.names, key=lambda name: -shares[name])
    coco = json.loads(download(loaded, "coco"))
    assert [each["name"] for each in coco["categories"]] == list(result.names)
    features = json.loads(download(loaded, "polygons"))["features"]
    assert sum(each["properties"]["area"] for each in features) == labels.size
    with zipfile.ZipFile(io.BytesIO(download(loaded, "masks"))) as masks:
        assert masks.testzip() is None
        for name in masks.namelist():
            index = int(name.split("/")[1].split(".")[0])
            mask = np.array(Image.open(masks.open(name)))
            np.testing.assert_array_equal(mask, np.where(labels == index, 255, 0))
    assert download(loaded, "overlay")[:2] == b"\xff\xd8"


def test_the_mask_follows_the_words(loaded: Any) -> None:
    before = loaded.locator("#legend li").count()
    ask(loaded, "rocket")
    assert loaded.locator("#legend li").count() == before + 1
    loaded.evaluate("() => { document.body.dataset.answered = ''; }")
    loaded.click("#undo")
    answered(loaded)
    assert loaded.locator("#legend li").count() == before
    loaded.click("#redo")
    loaded.wait_for_selector("#chips >> text=rocket")


def test_a_click_lists_the_best_classes_and_isolates_in_the_legend(loaded: Any) -> None:
    loaded.click("#left", position={"x": 60, "y": 60})
    loaded.wait_for_selector("#tip:not([hidden])")
    assert "%" in loaded.inner_text("#tip")
    first = loaded.locator("#legend button").first
    first.click()
    assert loaded.locator("#legend button").first.get_attribute("aria-pressed") == "true"


def test_two_methods_side_by_side(loaded: Any) -> None:
    loaded.evaluate("() => { document.body.dataset.answered = ''; }")
    loaded.check("#compare")
    answered(loaded)
    assert "pixels differ" in loaded.inner_text("#differ")
    assert loaded.inner_text("#left-caption") == "sclip + LHT"
    assert loaded.inner_text("#right-caption") == "sclip"
    assert " | " in loaded.locator("#legend .numbers").first.inner_text()
    loaded.focus("#divider")
    loaded.keyboard.press("ArrowRight")
    assert loaded.get_attribute("#divider", "aria-valuenow") == "52"
    loaded.select_option("#show", "hoyer")
    loaded.wait_for_selector("#scale:not([hidden])")
    assert "on the right" in loaded.inner_text("#status")
    loaded.select_option("#show", "classes")
    loaded.wait_for_selector("#scale", state="hidden")


def test_the_call_that_reproduces_the_picture(loaded: Any) -> None:
    loaded.click("[data-copy=command]")
    loaded.wait_for_selector("body[data-copied]")
    text = loaded.get_attribute("body", "data-copied")
    assert text.startswith("lhtclip segment 'scene.png' --model 'bundled' --method sclip")
    assert f"--classes '{WORDS}'" in text
    loaded.click("[data-copy=python]")
    loaded.wait_for_selector("body[data-copied^=from]")


def test_gains_change_the_labels_and_the_calls(loaded: Any) -> None:
    assert loaded.inner_text("#panes details.gains summary") == "Gains"
    loaded.evaluate("() => { document.body.dataset.answered = ''; }")
    loaded.check("#compare")
    answered(loaded)
    loaded.locator("details.gains summary").last.click()
    loaded.evaluate("() => { document.body.dataset.answered = ''; }")
    loaded.select_option("#right-refine", "pamr")
    answered(loaded)
    loaded.evaluate("() => { document.body.dataset.answered = ''; }")
    loaded.fill("#right-short_side", "224, 336")
    loaded.press("#right-short_side", "Enter")
    answered(loaded)
    assert loaded.locator("details.gains summary").last.inner_text() == "Gains: 2 on"
    assert loaded.inner_text("#differ") != "0.0 % of pixels differ."
    loaded.locator("details.gains summary").first.click()
    loaded.evaluate("() => { document.body.dataset.answered = ''; }")
    loaded.check("#left-flip")
    answered(loaded)
    loaded.click("[data-copy=command]")
    loaded.wait_for_selector("body[data-copied$=--flip]")
    assert "--atr-by" not in loaded.get_attribute("body", "data-copied")
    loaded.evaluate("() => { document.body.dataset.answered = ''; }")
    loaded.select_option("#right-atr_by", "channels")
    answered(loaded)
    labels = np.array(Image.open(io.BytesIO(download(loaded, "labels"))))
    windows = WindowSettings(flip=True)
    expected = Segmenter.from_pretrained("bundled", windows=windows).segment(SCENE.image, WORDS)
    assert (labels == expected.labels).mean() > 0.999


def test_errors_are_said_in_words(page: Any) -> None:
    drop(page, "broken.png", b"no image at all")
    page.wait_for_selector("#error:not([hidden])")
    assert "image" in page.inner_text("#error")


def test_the_keyboard_alone_is_enough(loaded: Any) -> None:
    loaded.focus("#stage")
    loaded.keyboard.press("ArrowRight")
    assert not loaded.is_hidden("#cursor")
    loaded.keyboard.press("Enter")
    loaded.wait_for_selector("#tip:not([hidden])")
    loaded.keyboard.press("Escape")
    assert loaded.is_hidden("#tip")


def test_nothing_is_cut_off_on_a_phone_and_the_mask_stays_in_sight(loaded: Any) -> None:
    loaded.set_viewport_size({"width": 375, "height": 700})
    wide = "() => document.documentElement.scrollWidth"
    assert loaded.evaluate(wide) <= 375
    loaded.locator("#words").scroll_into_view_if_needed()
    picture, words = loaded.locator("#left").bounding_box(), loaded.locator("#words").bounding_box()
    assert picture["y"] >= 0
    assert picture["y"] + picture["height"] <= words["y"] < 700


def test_the_folder_view_labels_and_filters(page: Any) -> None:
    page.wait_for_selector("#browse:not([hidden])")
    page.fill("#words", "cat, grass,")
    page.click("#browse")
    page.wait_for_selector("#thumbnails li")
    assert "images" in page.inner_text("#folder-status")
    page.locator("#thumbnails button").first.click()
    page.wait_for_selector("#left:not([hidden])")
    answered(page)
