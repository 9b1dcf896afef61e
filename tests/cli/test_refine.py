"""`lhtclip segment --pamr`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lhtclip.output.scores import decode_scores


def test_pamr_refines_and_is_told(segment: Any, draw: Any, tmp_path: Path) -> None:
    draw("one.png", height=80, width=96)
    for out, switch in (("plain", ()), ("refined", ("--pamr",))):
        assert segment("one.png", "--out", out, "--format", "scores", *switch).code == 0
    settings = json.loads((tmp_path / "refined/classes.json").read_text())["settings"]
    assert settings["decoding"]["pamr"] == {"iterations": 10, "dilations": [8, 16]}
    plain, refined = (
        decode_scores(tmp_path / out / "one.scores.npz") for out in ("plain", "refined")
    )
    assert plain.shape == refined.shape == (80, 96)
    assert abs(plain - refined).max() > 1e-3


def test_results_with_and_without_pamr_do_not_mix(segment: Any, draw: Any) -> None:
    draw("one.png")
    assert segment("one.png", "--out", "out").code == 0
    again = segment("one.png", "--out", "out", "--pamr")
    assert again.code == 2
    assert "decoding.pamr None, now {" in again.err
