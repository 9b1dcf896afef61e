"""The page's decoding, regions and words against the library's."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lhtclip.decoding.decode import decode
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.errors import InputError
from lhtclip.image.pixels import to_pixels
from lhtclip.image.windows import WindowSettings
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter.windows import plan_scales
from lhtclip.server.answers import polygons, run_lengths
from lhtclip.text.background import STUFF
from lhtclip.text.background import WORDS as WORDS_CHOSEN
from lhtclip.text.vocabulary import Vocabulary
from tests.static_page.conftest import RunJs

SIZES = [(336, 448), (512, 683), (97, 301), (700, 500), (40, 33), (336, 700), (1001, 64)]
MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
WINDOWS = {"short_side": 112, "long_side": 400, "window": 64, "stride": 40}


def test_pixels_are_those_of_torch(run_js: RunJs) -> None:
    """Every level, but for rare ties of the rounding, and every window."""
    draw, settings = np.random.default_rng(0), WindowSettings(**WINDOWS)
    images = [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    script = """
import { normalised, plan } from "./local/pixels.js";
const answers = data.images.map(({ width, height, levels }) => {
  const rgba = levels.flatMap((_, i) => (i % 3 ? [] : [...levels.slice(i, i + 3), 255]));
  const layout = plan({ width, height }, data.windows, 16);
  const pixels = normalised({ width, height, data: rgba }, layout, data.pixels);
  return { layout, pixels: [...pixels] };
});
console.log(JSON.stringify(answers));
"""
    small = images[2:5]
    data = {
        "windows": WINDOWS,
        "pixels": {"mean": MEAN, "std": STD},
        "images": [
            {"width": each.shape[1], "height": each.shape[0], "levels": each.ravel().tolist()}
            for each in small
        ],
    }
    for image, answer in zip(small, run_js(script, data), strict=True):
        plan = plan_scales(image, settings, patch=16)[0].plan
        layout = answer["layout"]
        assert (layout["height"], layout["width"]) == (plan.height, plan.width)
        assert (tuple(layout["tops"]), tuple(layout["lefts"])) == (plan.tops, plan.lefts)
        assert layout["windowHeight"] == plan.window_height
        assert layout["windowWidth"] == plan.window_width
        wanted = to_pixels(image, (plan.height, plan.width), mean=MEAN, std=STD).numpy().ravel()
        found = np.array(answer["pixels"], dtype=np.float32)
        assert (found != wanted).mean() < 1e-4
        assert np.abs(found - wanted).max() < 1.01 / (255 * min(STD))


@pytest.mark.parametrize("size", SIZES[2:5])
def test_labels_are_those_of_the_library(size: tuple[int, int], run_js: RunJs) -> None:
    image = np.zeros((*size, 3), dtype=np.uint8)
    plan = plan_scales(image, WindowSettings(**WINDOWS), patch=16)[0].plan
    grid = (plan.window_height // 16, plan.window_width // 16)
    torch.manual_seed(0)
    shape = (len(plan.tops), len(plan.lefts), *grid, 5)
    logits = torch.randn(shape) * 4
    vocabulary = Vocabulary.of("a, b|c, d", background="e", threshold=0.4)
    labels, scores = decode(
        logits, plan, size, vocabulary.class_of_query, 4, DecodeSettings(1.0, threshold=0.4)
    )
    script = """
import { decode, probabilitiesAt } from "./local/decode.js";
const logits = Float32Array.from(data.logits);
const { labels, scores } = decode(logits, data.encoded, data.size, data.vocabulary, 0.4);
const best = probabilitiesAt(logits, data.encoded, data.size, data.vocabulary, { x: 5, y: 7 });
console.log(JSON.stringify({ labels: [...labels], scores: [...scores], best }));
"""
    encoded = {
        "tops": plan.tops,
        "lefts": plan.lefts,
        "windowHeight": plan.window_height,
        "windowWidth": plan.window_width,
        "height": plan.height,
        "width": plan.width,
        "rows": grid[0],
        "columns": grid[1],
    }
    found = run_js(
        script,
        {
            "logits": logits.ravel().tolist(),
            "encoded": encoded,
            "size": {"height": size[0], "width": size[1]},
            "vocabulary": {
                "names": vocabulary.names,
                "queries": vocabulary.queries,
                "classOfQuery": vocabulary.class_of_query,
            },
        },
    )
    assert np.array_equal(np.array(found["labels"]).reshape(size), labels)
    assert np.allclose(np.array(found["scores"]).reshape(size), scores, atol=1e-5)
    best = found["best"][0]["probability"]
    assert best == pytest.approx(float(scores[7, 5]), abs=1e-5)


def test_regions_are_those_of_the_library(run_js: RunJs) -> None:
    draw = np.random.default_rng(1)
    maps = [draw.integers(0, 3, size).astype(np.uint8) for size in ((9, 13), (1, 5), (7, 1))]
    blocks = draw.integers(0, 3, (5, 6)).astype(np.uint8).repeat(4, 0).repeat(3, 1)
    names = ("background", "b", "c")
    results = [
        Segmentation(each, draw.random(each.shape).astype(np.float32), names, background=0)
        for each in (*maps, blocks)
    ]
    script = """
import { cocoRegions, polygonRegions } from "./local/regions.js";
const vocabulary = { names: data.names, background: 0 };
const both = [polygonRegions, cocoRegions];
const answers = data.results.map((each) => both.map((regions) => regions(each, vocabulary)));
console.log(JSON.stringify(answers));
"""
    given_results = [
        {
            "labels": each.labels.ravel().tolist(),
            "scores": each.scores.ravel().tolist(),
            "height": each.labels.shape[0],
            "width": each.labels.shape[1],
        }
        for each in results
    ]
    answers = run_js(script, {"names": names, "results": given_results})
    for result, (found, coco) in zip(results, answers, strict=True):
        wanted = json.loads(json.dumps([polygons(result), run_lengths(result)]))
        for one, other in zip((found, coco), wanted, strict=True):
            for mine, own in zip(one, other, strict=True):
                assert mine.pop("score") == pytest.approx(own.pop("score"), abs=1.1e-4)
                assert mine == own


WORDS = st.text(alphabet="aAbß İç|,", max_size=5)


def test_words_are_read_as_the_library_reads_them(run_js: RunJs) -> None:
    cases: list[tuple[list[list[str]], str | None, float]] = []

    @given(st.lists(st.lists(WORDS, min_size=1, max_size=2), max_size=4), st.none() | WORDS)
    def collect(classes: list[list[str]], background: str | None) -> None:
        split = [[part for word in words for part in word.split("|")] for words in classes]
        cases.append((split, background, 0.0))

    collect()
    cases += [
        ([["background"]], "sky", 0.0),
        ([["a"]], None, 0.5),
        ([["a"], ["b", "a"]], None, 0.0),
        ([["dog"], ["Desk  Lamp", "WINDOWS"]], "auto", 0.0),
        ([["dog"], ["brick-walls"]], "auto", 0.0),
        ([["wall clock"]], "auto", 0.1),
    ]
    script = """
import { vocabularyOf } from "./local/vocabulary.js";
console.log(JSON.stringify(data.cases.map(([classes, background, threshold]) => {
  try {
    return vocabularyOf(classes, background, threshold, data.known);
  } catch {
    return null;
  }
})));
"""
    known = {"words": WORDS_CHOSEN, "stuff": sorted(STUFF)}
    answers = run_js(script, {"cases": cases, "known": known})
    for case, found in zip(cases, answers, strict=True):
        classes, background, threshold = case
        try:
            own = Vocabulary.of(classes, background=background, threshold=threshold)
        except InputError:
            assert found is None, case
            continue
        assert found is not None, case
        assert found["names"] == list(own.names), case
        assert found["queries"] == list(own.queries), case
        assert found["classOfQuery"] == list(own.class_of_query), case


def test_archives_and_pictures_are_read_by_others(run_js: RunJs) -> None:
    script = """
import { encodePng } from "./png.js";
import { zip } from "./zip.js";
const labels = Uint8Array.from({ length: 35 }, (_, i) => i % 3 === 1 ? 255 : 0);
const files = [
  { name: "a/1.ünö.png", data: await encodePng(labels, 7, 5) },
  { name: "a/empty", data: new Uint8Array() },
];
const archive = new Uint8Array(await zip(files).arrayBuffer());
console.log(JSON.stringify([...archive]));
"""
    with zipfile.ZipFile(io.BytesIO(bytes(run_js(script, None)))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a/1.ünö.png", "a/empty"]
        assert archive.read("a/empty") == b""
        mask = Image.open(archive.open("a/1.ünö.png"))
        assert (mask.mode, mask.size) == ("L", (7, 5))
        wanted = np.where(np.arange(35) % 3 == 1, 255, 0).reshape(5, 7)
        np.testing.assert_array_equal(np.array(mask), wanted)
