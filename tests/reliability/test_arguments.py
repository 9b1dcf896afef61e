"""Arguments of any type in Python: taken, or refused in one line of ours, never from inside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lhtclip import (
    Client,
    DenseEncoder,
    EncodedImage,
    InputError,
    LhtClipError,
    Preset,
    Segmentation,
    Segmenter,
    Shard,
    SsrSettings,
    TextEncoder,
    Vocabulary,
    WindowSettings,
    label_files,
    load_checkpoint,
    with_aliases,
)
from lhtclip.batch.convert import convert_files
from lhtclip.batch.merge import merge_shards
from lhtclip.text.templates import resolve_templates
from lhtclip.text.vocabulary import read_classes_file
from tests.models import tiny_clip


class Thing:
    """Nothing that an argument could be."""


VALUES = (
    *(None, -1, 2.5, float("nan"), "x", "", "a\0b", "\ud800", b"x", Thing(), True, 10**400),
    *([], [None], [3], {"a": 3}, np.zeros((2, 2)), torch.zeros(2), np.float32(0.5), np.int64(1)),
)
Call = tuple[Callable[..., Any], dict[str, Any]]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    loaded = Segmenter.from_pretrained("bundled", templates="plain", text_cache=False)
    return loaded.replace(windows=WindowSettings(short_side=64, window=64, stride=32))


@pytest.fixture(scope="module")
def encoded(segmenter: Segmenter) -> EncodedImage:
    return segmenter.encode(np.zeros((64, 64, 3), np.uint8))


@pytest.fixture(scope="module")
def result(encoded: EncodedImage) -> Segmentation:
    return encoded.segment(["cat", "dog"])


def refusals(call: Call) -> list[str]:
    """Give every value as every argument; return what was said of those that were refused."""
    function, good = call
    said: list[str] = []
    for name in good:
        for value in VALUES:
            try:
                function(**(good | {name: value}))
            except LhtClipError as error:
                said.append(f"{name}: {error}")
    assert said
    assert not any("\n" in text for text in said)
    return said


def test_of_results(result: Segmentation, tmp_path: Path) -> None:
    outline: dict[str, Any] = {"shape": "mask", "tolerance": 0.0, "least_area": 0}
    path = result.save(tmp_path / "labels.png")
    for call in (
        (result.mask, {"name": "cat"}),
        (result.save, {"path": path}),
        (Segmentation.load, {"path": path, "names": None, "background": None, "first_index": 0}),
        (result.overlay, {"opacity": 0.5, "legend": True, "font": None}),
        (result.components, {"least_area": 0, "connectivity": 4}),
        (result.polygons, {"tolerance": 0.0, "least_area": 0}),
        (result.to_coco, {"file_name": "a.png", **outline}),
        (result.to_labelme, {"image_path": "a.png", **outline}),
        (result.to_label_studio, {"image": "a.png", "model_version": "x", **outline}),
        (
            partial(Segmentation, result.labels),
            {"scores": result.scores, "names": result.names, "image": None, "background": None},
        ),
        (
            lambda labels: Segmentation(labels, result.scores, result.names),
            {"labels": result.labels},
        ),
    ):
        refusals(call)


def test_of_encoded_images(encoded: EncodedImage) -> None:
    words: dict[str, Any] = {"classes": ["a"], "background": None}
    for call in (
        (encoded.segment, {**words, "threshold": None}),
        (encoded.probe, {"x": 1, "y": 1, "k": 2, **words}),
        (encoded.probabilities, {"name": "a", **words}),
        (encoded.maps, {"names": ["margin"], **words}),
    ):
        refusals(call)


def test_of_segmenters(segmenter: Segmenter) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    for call in (
        (segmenter.encode, {"image": image}),
        (lambda images: list(segmenter.encode_many(images)), {"images": [image]}),
        (
            lambda items, on_error: list(segmenter.encode_items(items, on_error=on_error)),
            {"items": [("a", image)], "on_error": None},
        ),
        (segmenter.texts.encode, {"queries": ["a"]}),
    ):
        refusals(call)


def test_of_parts(segmenter: Segmenter) -> None:
    for call in (
        (load_checkpoint, {"model": "nowhere", "device": "cpu", "dtype": "float32"}),
        (partial(DenseEncoder, tiny_clip()), {"method": "sclip", "residual": None, "mlp": None}),
        (Vocabulary.of, {"classes": ["a"], "background": None, "threshold": 0.0}),
        (Preset, {"ssr": SsrSettings((1,)), "source": "x", "she": None, "made": {}}),
        (Shard, {"number": 1, "count": 2}),
        (Shard.parse, {"text": "1/2"}),
        (Preset.load, {"path": "nowhere"}),
        (resolve_templates, {"templates": "plain"}),
        (with_aliases, {"vocabulary": Vocabulary.of("a"), "source": "given"}),
        (read_classes_file, {"path": "nowhere"}),
        (TextEncoder.of, {"checkpoint": segmenter.checkpoint, "templates": "plain", "cache": None}),
        (Client, {"url": "http://127.0.0.1", "token": None, "timeout": 3.0}),
    ):
        refusals(call)


def test_of_folders(
    segmenter: Segmenter, result: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = tmp_path / "labels"
    labels.mkdir()
    image = result.save(labels / "a.png")
    label = partial(label_files, classes=["a"], segmenter=segmenter)
    said = refusals(
        (
            label,
            {
                "images": image,
                "out": "out",
                "formats": "csv",
                "options": None,
                "overwrite": False,
                "shard": None,
                "on_image": None,
                "on_progress": None,
            },
        )
    )
    said += refusals(
        (
            convert_files,
            {
                "results": labels,
                "out": "converted",
                "formats": "csv",
                "names": None,
                "background": None,
                "first_index": 0,
                "images": None,
                "overwrite": False,
            },
        )
    )
    said += refusals((merge_shards, {"out": "nowhere"}))
    assert any("out must be a path (str or Path), not None" in text for text in said)
    assert any("'.' is the current folder" in text for text in said)


def test_numbers_of_numpy_are_numbers(encoded: EncodedImage, result: Segmentation) -> None:
    assert encoded.probe(np.int64(3), np.uint8(2), ["a", "b"]) == encoded.probe(3, 2, ["a", "b"])  # pyright: ignore[reportArgumentType]
    assert len(result.components(least_area=np.int32(4))) == len(result.components(least_area=4))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("item", [1, "ab", (), ("key",), ("key", "a.png", 3), None])
def test_an_item_is_a_pair(segmenter: Segmenter, item: Any) -> None:
    with pytest.raises(InputError, match=r"pair \(key, image\)"):
        list(segmenter.encode_items([item], on_error=lambda key, error: None))


def test_one_image_is_not_several(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match=r"several images; use encode for 'photo\.jpg'"):
        segmenter.encode_many("photo.jpg")  # pyright: ignore[reportArgumentType]
