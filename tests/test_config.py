"""The configuration as JSON, and segmenters made from it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from lhtclip import (
    METHODS,
    AtrSettings,
    DecodeSettings,
    InputError,
    LhtSettings,
    PamrSettings,
    Preset,
    ReadingSettings,
    Segmenter,
    SegmenterConfig,
    SheSettings,
    SsrSettings,
    Vocabulary,
    WindowSettings,
)
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.errors import CheckpointError, LhtClipError, UnknownNameError
from lhtclip.methods.changes import with_settings
from lhtclip.techniques import TECHNIQUES

SSR = SsrSettings((2, 3), 0.2)
PRESET = Preset(SSR, "by hand", she=SheSettings(((1, 2),)), made={"seed": 1})
WINDOWS = WindowSettings(short_side=64, window=48, stride=32)


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize(
    "config",
    [
        SegmenterConfig(),
        SegmenterConfig(
            model="me/model",
            method="naclip",
            lht=False,
            residual=True,
            mlp=False,
            templates=("a {}", "the {}"),
            reading=ReadingSettings(range=(0, 3000), bands=(4, 3, 2), alpha="ignore"),
            windows=WindowSettings(300, 1000, None, 50, 3),
            decoding=DecodeSettings(50.0, 0.1, 0.2, PamrSettings(3, (1, 2))),
            engine="onnx",
            graph="a.onnx",
            device="cpu",
            dtype="float32",
            max_pixels=10,
            text_cache="cache",
        ),
        SegmenterConfig(preset=PRESET, text_cache=False),
        SegmenterConfig(lht={"atr": False, "ssr": SSR}),
        SegmenterConfig(lht={"she": True}),
        SegmenterConfig(lht=LhtSettings()),
        SegmenterConfig(lht=LhtSettings(atr=AtrSettings(0.4))),
        SegmenterConfig(method=replace(METHODS["sclip"], residual=False, mlp=False)),
        SegmenterConfig(method=with_settings(METHODS["resclip-sfr"], {"sfr.path": "released"})),
    ],
)
def test_json_round_trip(config: SegmenterConfig) -> None:
    assert SegmenterConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_method_in_json_names_what_is_not_as_published() -> None:
    content = {"method": {"name": "pearl", "settings": {"alpha": 0.3}}}
    assert SegmenterConfig.from_json(content) == SegmenterConfig(
        method=with_settings(METHODS["pearl"], {"alpha": 0.3})
    )


def test_what_json_leaves_out_has_its_default(tmp_path: Path) -> None:
    path = PRESET.save(tmp_path / "lht.json")
    content = {"windows": {"stride": 56}, "preset": str(path)}
    config = SegmenterConfig.from_json(content)
    assert config == SegmenterConfig(windows=WindowSettings(stride=56), preset=PRESET)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ([], ["the configuration", "[]"]),
        ({"methd": "clip"}, ["'methd'", "Did you mean 'method'"]),
        ({"windows": {"strid": 3}}, ["'strid'", "'stride'", "'windows'"]),
        ({"windows": {"stride": "3"}}, ["'stride'", '"3"', "a whole number"]),
        ({"windows": {"stride": True}}, ["'stride'", "true"]),
        ({"windows": {"stride": 300}}, ["stride of 300", "224"]),
        ({"decoding": {"pamr": {"dilations": [1, "x"]}}}, ["'dilations'", '"x"']),
        ({"decoding": 3}, ["'decoding'", "3"]),
        ({"method": "slcip"}, ["Did you mean 'sclip'"]),
        ({"method": 3}, ["'method'", "3"]),
        ({"method": {"name": "clip", "heads": 3}}, ["'heads'", "settings"]),
        ({"method": {"name": "clip", "mlp": 1}}, ["mlp of 'method'", "1"]),
        ({"method": {"name": "pearl", "settings": [1]}}, ["settings of 'method'", "[1]"]),
        ({"method": {"name": "pearl", "settings": {"beta": 1}}}, ["'beta'", "alpha"]),
        ({"lht": {"art": False}}, ["'art'", "Did you mean 'atr'"]),
        ({"lht": "yes"}, ["'lht'", "yes"]),
        ({"engine": "tensorrt"}, ["'tensorrt'", "torch"]),
        ({"templates": "imagnet80"}, ["Did you mean 'imagenet80'"]),
        ({"max_pixels": 0}, ["max_pixels", "0"]),
    ],
)
def test_bad_json_is_told(content: Any, parts: list[str]) -> None:
    with pytest.raises(LhtClipError) as caught:
        SegmenterConfig.from_json(content)
    for part in parts:
        assert part in str(caught.value)


def test_bad_settings_in_python() -> None:
    with pytest.raises(UnknownNameError, match=r"'art'.*Did you mean 'atr'"):
        SegmenterConfig(lht={"art": True})
    with pytest.raises(InputError, match=r"lht\['atr'\].*AtrSettings"):
        SegmenterConfig(lht={"atr": SSR})
    with pytest.raises(CheckpointError, match="'source'"):
        SegmenterConfig.from_json({"preset": {"ssr": {"layers": [1]}}})


def test_resolved_is_what_this_machine_does() -> None:
    config = SegmenterConfig("ViT-B-16", device="cpu", dtype="bfloat16").resolved()
    assert (config.model, config.device, config.dtype) == (
        "openai/clip-vit-base-patch16",
        "cpu",
        "bfloat16",
    )
    assert SegmenterConfig("bundled", engine="onnx").resolved().dtype == "float32"
    with pytest.raises(InputError, match="float32, not in bfloat16"):
        SegmenterConfig("bundled", engine="onnx", dtype="bfloat16").resolved()


# Segmenters


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_config(
        SegmenterConfig("bundled", windows=WINDOWS, dtype="float32", templates="plain")
    )


def test_another_method_shares_the_weights_and_the_words(segmenter: Segmenter) -> None:
    other = segmenter.with_method("naclip", lht=False)
    assert (other.config.method, other.config.lht) == ("naclip", False)
    assert other.checkpoint is segmenter.checkpoint
    assert other.texts is segmenter.texts


def test_replace_shares_the_weights_and_the_words(segmenter: Segmenter) -> None:
    plain = segmenter.replace(method="clip", lht=False)
    assert plain.checkpoint is segmenter.checkpoint
    assert plain.texts is segmenter.texts
    assert plain.encoder.method is METHODS["clip"]
    assert plain.windows == WINDOWS
    assert plain.config == replace(segmenter.config, method="clip", lht=False)
    coarse = segmenter.replace(windows=replace(WINDOWS, stride=48))
    assert coarse.encoder is segmenter.encoder
    assert segmenter.replace(templates="photo").texts is not segmenter.texts


def test_keywords_of_from_pretrained_are_settings_with_the_same_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keywords = inspect.signature(Segmenter.from_pretrained).parameters.values()
    assert len([each for each in keywords if each.kind is each.KEYWORD_ONLY]) <= 12
    given: list[SegmenterConfig] = []
    monkeypatch.setattr(Segmenter, "from_config", given.append)
    Segmenter.from_pretrained()
    assert given == [SegmenterConfig()]
    other = SegmenterConfig(
        *("m", "naclip", False),
        preset=PRESET,
        templates=("a {}",),
        reading=ReadingSettings(bands=(4, 3, 2)),
        windows=WINDOWS,
        decoding=DecodeSettings(50.0),
        engine="compile",
        device="cpu",
        dtype="float32",
        max_pixels=10,
        text_cache="cache",
    )
    Segmenter.from_pretrained(**{each.name: getattr(other, each.name) for each in keywords})
    assert given[1:] == [other]


def test_techniques_have_the_same_names_everywhere() -> None:
    names = {item.name for item in fields(LhtSettings)}
    assert set(TECHNIQUES) == names
    assert names <= {item.name for item in fields(Preset)}


@pytest.mark.parametrize("name", ["model", "dtype", "windw"])
def test_what_cannot_be_replaced(segmenter: Segmenter, name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"'{name}'.*Available: method"):
        segmenter.replace(**{name: "x"})


def test_settings_tell_what_a_configuration_came_to(segmenter: Segmenter) -> None:
    settings = segmenter.settings()
    assert settings["model"] == "bundled"
    assert (settings["engine"], settings["device"], settings["dtype"]) == (
        "torch",
        "cpu",
        "float32",
    )
    assert settings["techniques"]["ssr"]["layers"]
    assert settings["templates"] == "plain"
    assert "batch" not in settings["windows"]
    assert json.loads(json.dumps(settings)) == settings
    changed = segmenter.replace(lht={"ssr": False}).settings()
    assert changed["techniques"]["ssr"] is None
    assert {name for name in settings if settings[name] != changed[name]} == {"techniques"}


def test_parts_put_together_by_hand_have_a_configuration_too(segmenter: Segmenter) -> None:
    own = Segmenter(
        segmenter.checkpoint, segmenter.encoder, segmenter.texts, windows=WINDOWS, max_pixels=99
    )
    assert own.settings() == segmenter.settings()
    assert own.config.max_pixels == 99
    assert Segmenter.from_config(own.config).settings() == segmenter.settings()


def test_every_kind_of_several_images(segmenter: Segmenter, tmp_path: Path) -> None:
    scenes = bundled_scenes()[:2]
    words = Vocabulary.of(["dog", "sky"])
    first, second = segmenter.segment([scene.image for scene in scenes], words)
    for images in (tuple(scene.image for scene in scenes), (scene.image for scene in scenes)):
        again = segmenter.segment(images, ["dog", "sky"])
        assert [(a.labels == b.labels).all() for a, b in zip(again, (first, second), strict=True)]
    with scenes[0].image.open("rb") as file:
        assert (segmenter.segment(file, words).labels == first.labels).all()


def test_encode_items_goes_past_what_cannot_be_read(segmenter: Segmenter, tmp_path: Path) -> None:
    good = bundled_scenes()[0].image
    broken = tmp_path / "broken.png"
    broken.write_bytes(good.read_bytes()[:100])
    items = [("a", good), ("b", broken), ("c", good)]
    failed: list[str] = []
    encoded = segmenter.encode_items(items, on_error=lambda key, error: failed.append(key))
    assert [key for key, _ in encoded] == ["a", "c"]
    assert failed == ["b"]
    with pytest.raises(InputError, match=r"broken\.png"):
        list(segmenter.encode_items(items))
