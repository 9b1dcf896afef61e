"""Settings of any type: taken, or refused in one line that names them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lhtclip import (
    AliasSettings,
    DecodeSettings,
    Method,
    OutputOptions,
    Preset,
    PtcSettings,
    ReadingSettings,
    Segmenter,
    SegmenterConfig,
    Shard,
    TlpSettings,
    Vocabulary,
    WindowSettings,
    label_files,
)
from lhtclip.cli import main
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.errors import InputError, LhtClipError
from lhtclip.maps import MapSettings
from lhtclip.methods.naclip import NaclipSettings
from lhtclip.methods.pearl import PearlSettings
from lhtclip.methods.resclip import RcsSettings
from lhtclip.methods.resclip_feedback import FeedbackSettings, SfrSettings
from lhtclip.methods.rfclip import RfclipSettings
from lhtclip.methods.rfclip_paper import RefocusSettings
from lhtclip.methods.scclip import Levels, ScclipSettings
from lhtclip.methods.second_stream import SecondStreamSettings
from lhtclip.ray.cluster import WorkerSettings
from lhtclip.server.settings import ServerSettings
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings

KINDS = (
    *(SheSettings, AtrSettings, SsrSettings, LhtSettings, WindowSettings, DecodeSettings, Preset),
    *(PamrSettings, ReadingSettings, SegmenterConfig, OutputOptions, TlpSettings, PtcSettings),
    *(AliasSettings, NaclipSettings, PearlSettings, RcsSettings, SfrSettings, FeedbackSettings),
    *(RfclipSettings, RefocusSettings, ScclipSettings, Levels, SecondStreamSettings, MapSettings),
    *(WorkerSettings, ServerSettings, Method, Vocabulary, Shard),
)
NEEDED = {
    **{"heads": ((1, 1),), "layers": (1, 2), "ssr": SsrSettings((1,)), "atr": None, "she": None},
    **{"rcs": RcsSettings(), "sfr": SfrSettings(), "deep": 2, "shallow": 1, "fused": (1, 2)},
    **{"name": "mine", "update": len, "residual": True, "mlp": True, "source": "here"},
    **{"names": ("a",), "queries": ("a",), "class_of_query": (0,), "background": None},
    **{"number": 1, "count": 2},
}
VALUES = (
    *(None, "x", "0.5", b"x", 1.5, True, float("nan"), float("inf"), -1, 0, 10**400, object()),
    *([1], (1, 2), [[1, 2]], {}, np.int64(3), np.float32(0.5), torch.tensor(1)),
    *(np.array([1, 2]), torch.tensor([1, 2]), (each for each in "ab"), Path("x"), len, "a\0b"),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_values_of_any_type(kind: Any) -> None:
    needed = {
        each.name: NEEDED.get(each.name, 0.3)
        for each in fields(kind)
        if each.default is MISSING and each.default_factory is MISSING
    }
    settings = kind(**needed)
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings
    refusals: list[str] = []
    for each in fields(kind):
        for value in VALUES:
            try:
                kind(**(needed | {each.name: value}))
            except LhtClipError as error:
                refusals.append(str(error))
    assert len(refusals) > len(fields(kind))
    assert not any("\n" in text for text in refusals)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"model": 5}, "model must be str, not 5"),
        ({"method": None}, "method must be str or Method, not None"),
        ({"windows": 224}, "windows must be WindowSettings, not 224"),
        ({"decoding": "x"}, "decoding must be DecodeSettings"),
        ({"reading": {"alpha": "ignore"}}, "reading must be ReadingSettings"),
        ({"templates": 5}, "templates must be str or Sequence"),
        ({"preset": 5}, "preset must be Preset or None"),
        ({"text_cache": None}, "text_cache must be bool or str, not None"),
        ({"max_pixels": "x"}, "max_pixels must be at least 1, not 'x'"),
        ({"device": None}, "device must be str"),
    ],
)
def test_a_segmenter_is_not_loaded_with_them(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Segmenter.from_pretrained(**({"model": "bundled"} | given))


def test_torchs_own_names_are_taken() -> None:
    segmenter = Segmenter.from_pretrained(
        "bundled", device=torch.device("cpu"), dtype=torch.float32, templates=["a {}."]
    )
    assert (segmenter.config.device, segmenter.config.dtype) == ("cpu", "float32")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"segmenter": "bundled"}, "segmenter must be Segmenter or None"),
        ({"config": {"model": "bundled"}}, "config must be SegmenterConfig or None"),
        ({"options": {"mode": "grey"}}, "options must be OutputOptions or None"),
        ({"images": [np.zeros((8, 8, 3))]}, "named by paths, not ndarray"),
        ({"images": "y" * 5000}, "is not an image file|Cannot look for images"),
        ({"out": "x" * 300}, "Cannot write into .*too long"),
        ({"out": "a\0b"}, "out is not a path: it contains a null"),
    ],
)
def test_a_folder_is_not_labelled_with_them(
    given: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=named):
        label_files(**({"images": ".", "classes": ["cat", "dog"], "out": "out"} | given))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bands", ["3.5,2,1", "nan,2,1", "red"])
def test_bands_of_a_raster_are_whole_numbers(
    bands: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("rasterio")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.tif")
    given = ["raster", str(tmp_path / "a.tif"), "--out", str(tmp_path / "map.tif")]
    assert main([*given, "--classes", "a", "--bands", bands]) == 2
    assert f"--bands needs comma-separated whole numbers, such as 4,3,2, not {bands!r}" in (
        capsys.readouterr().err
    )
