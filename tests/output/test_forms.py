"""What a result becomes for other programs, and in notebooks."""

from __future__ import annotations

import io
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image, ImageShow

from lhtclip.errors import InputError, MissingDependencyError, OutputError
from lhtclip.output.png import encode_labels
from lhtclip.output.png_names import names_in, with_names
from lhtclip.segmentation import Segmentation
from tests.output.annotations.scene import LABELS, NAMES, SCORES

IMAGE = np.random.default_rng(0).integers(0, 256, (*LABELS.shape, 3)).astype(np.uint8)
RESULT = Segmentation(LABELS, SCORES, NAMES, IMAGE, background=0)


def test_names_travel_inside_the_png(tmp_path: Path) -> None:
    loaded = Segmentation.load(RESULT.save(tmp_path / "labels.png"))
    np.testing.assert_array_equal(loaded.labels, LABELS)
    assert (loaded.names, loaded.background) == (NAMES, 0)
    assert (loaded.scores == 1).all()


def test_wide_labels_travel_too(tmp_path: Path) -> None:
    names = tuple(f"class {index}" for index in range(300))
    labels = np.array([[0, 299, 65535]], np.uint16)
    result = Segmentation(labels, np.ones((1, 3), np.float32), names)
    loaded = Segmentation.load(result.save(tmp_path / "labels.png"))
    assert (loaded.labels.tolist(), loaded.names) == (labels.tolist(), names)


@pytest.mark.parametrize("mode", ["P", "L", "I;16"])
def test_other_programs_label_files_need_names(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "labels.png"
    highest = 65535 if mode == "I;16" else 255
    values = np.array([[0, 1, highest]], np.uint16 if mode == "I;16" else np.uint8)
    picture = Image.fromarray(values)
    if mode == "P":
        picture.putpalette(bytes(768))
    picture.save(path)
    with pytest.raises(InputError, match=r"labels\.png holds no class names.*names="):
        Segmentation.load(path)
    loaded = Segmentation.load(path, names=["road", "sky"])
    assert (loaded.labels.tolist(), loaded.labels.dtype) == ([[0, 1, 255]], np.uint8)
    with pytest.raises(InputError, match=r"Label 1 of .* has no name: there are 1 names"):
        Segmentation.load(path, names=["road"])


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"names": [1], "background": null}'])
def test_a_strange_chunk_is_no_list_of_names(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lhtclip.output.png_names.json.dumps", lambda *_, **__: text)
    assert names_in(with_names(encode_labels(LABELS), NAMES)) is None


def test_components_are_all_regions_but_the_backgrounds() -> None:
    instances = RESULT.components()
    drawn = np.zeros_like(LABELS)
    for instance in instances:
        x, y, width, height = instance.box
        drawn[y : y + height, x : x + width][instance.mask] = instance.label
        assert instance.area == instance.mask.sum()
    np.testing.assert_array_equal(drawn, np.where(LABELS == 255, 0, LABELS))
    assert min(each.area for each in RESULT.components(least_area=5)) >= 5
    assert len(RESULT.polygons(tolerance=2)) == len(instances)


def test_json_forms_are_json() -> None:
    regions = len(RESULT.components())
    assert len(RESULT.to_coco(file_name="a.jpg")["annotations"]) == regions
    assert len(RESULT.to_labelme(image_path="a.jpg")["shapes"]) == regions
    task = RESULT.to_label_studio(image="/a.jpg", shape="polygon")
    assert len(task["predictions"][0]["result"]) == regions
    json.dumps([RESULT.to_coco(), RESULT.to_labelme(image_path="a.jpg"), task])


def test_the_hugging_face_form_is_the_pipelines() -> None:
    found = RESULT.to_hf()
    assert [each["label"] for each in found] == list(NAMES)
    for index, each in enumerate(found):
        assert (each["score"], each["mask"].mode) == (None, "L")
        np.testing.assert_array_equal(np.asarray(each["mask"]), (index == LABELS) * 255)


@pytest.mark.parametrize(
    ("method", "extra"),
    [("to_supervision", "supervision"), ("to_fiftyone", "fiftyone"), ("to_dataframe", "tables")],
)
def test_missing_packages_say_what_to_install(
    method: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("supervision", "fiftyone", "pandas"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'lhtclip\[{extra}\]'"):
        getattr(RESULT, method)()


def test_a_notebook_gets_a_small_picture_and_a_line() -> None:
    wide = Segmentation(LABELS.repeat(40, 1), SCORES.repeat(40, 1), NAMES)
    bundle = wide._repr_mimebundle_()
    picture = Image.open(io.BytesIO(bundle["image/png"]))
    assert max(picture.size) == 1024
    assert bundle["text/plain"].startswith("Segmentation(2800 x 45 pixels: ")
    assert "car" in bundle["text/plain"]


def test_plots_have_a_legend_with_shares() -> None:
    mpl.use("Agg")
    ax = RESULT.plot(side_by_side=True)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    shares = RESULT.coverage()
    assert texts[0] == f"{max(shares, key=lambda name: shares[name])}  {max(shares.values()):.1%}"
    assert not any(text.get_parse_math() for text in ax.get_legend().get_texts())
    left, right = ax.figure.axes
    np.testing.assert_array_equal(left.images[0].get_array(), IMAGE)
    assert right is ax
    mpl.pyplot.close(ax.figure)


def test_without_a_viewer_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageShow, "_viewers", [])
    with pytest.raises(OutputError, match=r"no image viewer.*overlay\(\)\.save"):
        RESULT.show()
