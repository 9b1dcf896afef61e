"""Every format: as many contents as files, the same bytes each time, parts that survive JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from lhtclip.errors import InputError
from lhtclip.formats import SINKS, open_sinks
from lhtclip.formats.sink import ImageName, OutputOptions, Part, Sink
from lhtclip.output.png import decode_labels
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Vocabulary
from tests.output.annotations.scene import LABELS, NAMES, SCORES

VOCABULARY = Vocabulary(NAMES, NAMES, tuple(range(len(NAMES))), 0)
IMAGE = np.random.default_rng(0).integers(0, 256, (*LABELS.shape, 3)).astype(np.uint8)
MAPS = {
    "margin": SCORES,
    "entropy": 1 - SCORES,
    "probabilities": np.stack([SCORES[::2, ::2]] * len(NAMES)),
}
RESULT = Segmentation(LABELS, SCORES, NAMES, IMAGE, background=0, maps=MAPS)
NAME = ImageName(PurePosixPath("street/ünö 1.jpg"), PurePosixPath("street/ünö 1"))


def contents(sink: Sink) -> dict[str, bytes]:
    encoded = zip(sink.files(NAME), sink.encode(NAME, RESULT), strict=True)
    height, width = LABELS.shape
    parts = [Part(NAME, width, height, json.loads(json.dumps(sink.part(NAME, RESULT))))]
    whole = zip(sink.run_files(), sink.assemble(parts), strict=True)
    joined = ((path, data if isinstance(data, bytes) else b"".join(data)) for path, data in whole)
    return {str(path): data for path, data in (*encoded, *joined)}


@pytest.mark.parametrize("format", SINKS)
def test_the_same_result_gives_the_same_files(format: str) -> None:
    if format == "parquet" and not find_spec("pyarrow"):
        pytest.skip("pyarrow is not installed")
    (sink,) = open_sinks(format, VOCABULARY).values()
    first = contents(sink)
    assert first
    assert all(first.values())
    assert contents(sink) == first
    json.dumps(sink.settings())


def test_maps_are_grey_levels_and_label_files_have_none() -> None:
    for name in ("margin", "entropy"):
        (sink,) = open_sinks(name, VOCABULARY).values()
        (data,) = sink.encode(NAME, RESULT)
        np.testing.assert_allclose(decode_labels(data) / 255, MAPS[name], atol=0.5 / 255 + 1e-6)
        with pytest.raises(InputError, match=f"lhtclip segment --format {name}"):
            sink.encode(NAME, replace(RESULT, maps={}))
    (sink,) = open_sinks("probabilities", VOCABULARY).values()
    (data,) = sink.encode(NAME, RESULT)
    with np.load(io.BytesIO(data)) as arrays:
        np.testing.assert_allclose(arrays["scores"], MAPS["probabilities"], rtol=1e-3)


@pytest.mark.parametrize(("mode", "first"), [("palette", 0), ("grey", 0), ("palette", 1)])
def test_label_files_follow_mode_and_first_index(mode: Any, first: Any) -> None:
    options = OutputOptions(mode=mode, first_index=first)
    (sink,) = open_sinks("labels", VOCABULARY, options).values()
    (data,) = sink.encode(NAME, RESULT)
    assert data[25] == {"palette": 3, "grey": 0}[mode]  # the header's colour type
    expected = LABELS if first == 0 else np.where(LABELS == 255, 0, LABELS + 1)
    np.testing.assert_array_equal(decode_labels(data), expected)


@pytest.mark.parametrize("format", ["coco", "labelme", "label-studio", "yolo"])
def test_options_of_regions_change_files_and_are_recorded(format: str) -> None:
    options = OutputOptions(shape="polygon", tolerance=1.5, least_area=6)
    (plain,), (simple,) = (
        open_sinks(format, VOCABULARY, each).values() for each in (None, options)
    )
    before, after = contents(plain), contents(simple)
    assert before.keys() == after.keys()
    assert before != after
    assert plain.settings() != simple.settings()
    assert simple.settings()["tolerance"] == 1.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "rgb"}, "mode must be one of 'palette', 'grey', not 'rgb'"),
        ({"first_index": 2}, "first_index must be one of 0, 1, not 2"),
        ({"tolerance": -1}, "tolerance must be 0 or more pixels, got -1"),
        ({"least_area": -5}, "least area must be 0 or more pixels, got -5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OutputOptions(**options)


def test_256_classes_are_too_many_for_a_byte() -> None:
    names = tuple(map(str, range(300)))
    vocabulary = Vocabulary(names, names, tuple(range(300)), None)
    result = Segmentation(LABELS.astype(np.uint16) % 255, SCORES, names, IMAGE)
    for format in ("voc", "yolo-semantic"):
        (sink,) = open_sinks(format, vocabulary).values()
        with pytest.raises(InputError, match="got 300"):
            sink.encode(NAME, result)
    with pytest.raises(InputError, match="256 classes, got 300"):
        open_sinks("cvat", vocabulary)
