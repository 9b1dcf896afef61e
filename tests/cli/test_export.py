"""`lhtclip export`, and `segment` and `evaluate` on what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Draw, Run


@pytest.mark.slow
def test_rounded_weights_are_told(lhtclip: Run, segment: Run, draw: Draw, checkpoint: Path) -> None:
    image = draw("photo.png")
    (graph,) = lhtclip("export", "--model", checkpoint, "--int8", "--quiet").paths
    assert graph.name.endswith(".sclip.int8.onnx")
    ran = segment(image, "--out", "out", "--engine", "onnx", "--graph", graph, "--json")
    assert ran.json["settings"]["engine"] == "onnx int8"
    common = ("evaluate", "scenes", "--model", checkpoint, "--limit", 1, "--out", "e", "--quiet")
    ran = lhtclip(*common, "--engine", "onnx", "--graph", graph, "--json")
    assert ran.json["datasets"][0]["settings"]["engine"] == "onnx int8"
    ran = lhtclip(*common, "--dtype", "float32")
    assert ran.code == 2
    assert "engine 'onnx int8', now 'torch'" in ran.err


@pytest.mark.slow
def test_export_and_run(lhtclip: Run, segment: Run, draw: Draw, checkpoint: Path) -> None:
    image = draw("photo.png", height=61, width=83)
    ran = lhtclip("export", "--model", checkpoint, "--method", "naclip")
    assert ran.code == 0
    (graph,) = ran.paths
    assert graph == Path(f"{checkpoint.name}.naclip.onnx")
    assert "differ from torch's by" in ran.err
    labels: list[np.ndarray] = []
    for engine in (("torch",), ("onnx", "--graph", graph), ("openvino", "--graph", graph)):
        out = Path(f"out-{engine[0]}")
        ran = segment(image, "--out", out, "--method", "naclip", "--engine", *engine, "--json")
        assert ran.code == 0, ran.err
        assert ran.json["settings"]["engine"] == engine[0]
        labels.append(np.asarray(Image.open(out / "photo.png")))
    for other in labels[1:]:
        assert (other == labels[0]).mean() > 0.999
    ran = segment(image, "--out", "out", "--engine", "onnx", "--graph", graph)
    assert ran.code == 2
    assert "was exported from another encoder: it differs in method" in ran.err
    assert not Path("out").exists()


def test_bad_input(lhtclip: Run, segment: Run, draw: Draw, checkpoint: Path) -> None:
    image = draw("photo.png")
    Path("folder").mkdir()
    for arguments, message in (
        (("--format", "onx"), "Unknown format 'onx'. Did you mean 'onnx'"),
        (("--out", "folder"), "folder is a folder; name a file in it."),
        (("--out", "photo.png/a"), "is not a folder. Choose another"),
        (("--method", "scclip"), "'scclip' cannot become a graph"),
        (("--method", "sclp"), "Did you mean 'sclip'"),
    ):
        ran = lhtclip("export", "--model", checkpoint, *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert "Traceback" not in ran.err
    for arguments, message in (
        (("--engine", "tensorrt"), "Unknown engine 'tensorrt'"),
        (("--graph", "a.onnx"), "'torch' runs no graph"),
        (("--engine", "onnx", "--device", "cuda"), "runs on the CPU, not on 'cuda'"),
        (("--engine", "onnx", "--dtype", "bfloat16"), "works in float32, not in bfloat16"),
        (("--engine", "onnx", "--graph", "a.onnx"), "There is no graph a.onnx"),
    ):
        ran = segment(image, "--out", "out", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert not Path("out").exists()


def test_the_graph_is_part_of_the_record(segment: Run, draw: Draw) -> None:
    """Labels of a graph may be others: they do not go into the folder of those without."""
    image = draw("photo.png")
    assert segment(image, "--out", "out").code == 0
    record = json.loads(Path("out/classes.json").read_text(encoding="utf-8"))
    assert record["settings"]["engine"] == "torch"
    ran = segment(draw("b.png"), "--out", "out", "--engine", "onnx", "--graph", "a.onnx")
    assert ran.code == 2
    assert "graph" in ran.err
