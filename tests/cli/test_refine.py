"""The options that raise mIoU without training, in `segment` and `serve`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lhtclip import DecodeSettings, Segmenter, WindowSettings
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.server import run
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.ssr import SsrSettings


def test_pamr_refines_and_is_told(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png", height=80, width=96)
    for out, switch in (("plain", ()), ("refined", ("--pamr",))):
        assert segment("one.png", "--out", out, "--format", "scores", *switch).code == 0
    settings = json.loads((tmp_path / "refined/classes.json").read_text())["settings"]
    assert settings["decoding"]["pamr"] == {"iterations": 10, "dilations": [8, 16]}
    plain, refined = (
        np.load(tmp_path / out / "one.scores.npz")["scores"] for out in ("plain", "refined")
    )
    assert plain.shape == refined.shape == (80, 96)
    assert abs(plain - refined).max() > 1e-3


def test_results_with_and_without_pamr_do_not_mix(segment: Any, draw: Any) -> None:
    draw("one.png")
    assert segment("one.png", "--out", "out").code == 0
    again = segment("one.png", "--out", "out", "--pamr")
    assert again.code == 2
    assert "decoding.pamr None, now {" in again.err


def test_every_gain_is_an_option_and_is_recorded(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png", height=80, width=96)
    gains = ("--refine", "tlp", "--prior", "0.2", "--flip", "--shifts", "2")
    gains = (*gains, "--short-side", "64,48", "--aliases", "common", "--joint-windows")
    gains = (*gains, "--calibrate-texts")
    assert segment("one.png", "--out", "out", *gains).code == 0
    settings = json.loads((tmp_path / "out/classes.json").read_text())["settings"]
    assert settings["decoding"]["tlp"] == {"grid": 80, "iterations": 25, "pairs": False}
    assert settings["decoding"]["pamr"] is None
    assert settings["decoding"]["prior"] == 0.2
    assert (settings["windows"]["flip"], settings["windows"]["shifts"]) == (True, 2)
    assert settings["windows"]["joint"] is True
    assert settings["decoding"]["ptc"]["strength"] == 0.1
    assert settings["windows"]["short_side"] == [64, 48]
    assert settings["decoding"]["aliases"] == {"tau": 4.0, "temperature": 1.0}
    assert segment("one.png", "--out", "out", *gains).code == 0


def test_atr_judges_by_the_channels_of_the_preset(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png")
    Preset(SsrSettings((1,)), "this test", channels=(3, 5)).save(tmp_path / "lht.json")
    options = ("--no-lht", "--preset", str(tmp_path / "lht.json"), "--atr-by", "channels")
    assert segment("one.png", "--out", "out", *options).code == 0
    settings = json.loads((tmp_path / "out/classes.json").read_text())["settings"]
    assert settings["techniques"]["atr"]["channels"] == [3, 5]
    assert settings["techniques"]["ssr"] is None
    unknown = segment("one.png", "--out", "other", "--atr-by", "channels")
    assert unknown.code == 2
    assert "`lhtclip calibrate --no-labels` finds them" in unknown.err


def test_bad_gains_are_refused(segment: Any, draw: Any) -> None:
    draw("one.png")
    for options, message in (
        (("--prior", "1"), "prior must lie from -1 to below 1"),
        (("--shifts", "0"), "shifts must be at least 1"),
        (("--aliases", "nowhere.txt"), "nowhere.txt"),
        (("--short-side", "64,big"), "'64,big' is not a length or several, such as 336"),
        (("--short-side", "64,64"), "different lengths"),
        (("--joint-windows", "--method", "pearl"), "'pearl' looks at one window at a time"),
        (("--atr-by", "channels", "--no-atr"), "leave out --no-atr"),
        (("--refine", "crf"), "'crf' is not one of 'none', 'pamr', 'tlp'"),
    ):
        outcome = segment("one.png", "--out", "out", *options)
        assert outcome.code == 2
        assert message in outcome.err


def test_the_server_takes_the_gains(lhtclip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Segmenter] = []
    monkeypatch.setattr(run, "serve", lambda segmenter, *_, **__: served.append(segmenter))
    gains = ("--refine", "pamr", "--prior", "-0.3", "--flip", "--shifts", "2")
    gains = (*gains, "--short-side", "336,448", "--resize", "opencv")
    gains = (*gains, "--method", "pearl", "--setting", "alpha=0.3")
    assert lhtclip("serve", "--model", "bundled", *gains, "--quiet").code == 0
    (segmenter,) = served
    assert segmenter.encoder.settings()["method_settings"]["alpha"] == 0.3
    assert segmenter.windows == WindowSettings((336, 448), resize="opencv", flip=True, shifts=2)
    assert segmenter.decoding == DecodeSettings(pamr=PamrSettings(), prior=-0.3)
