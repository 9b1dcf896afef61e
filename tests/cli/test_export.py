"""`lhtclip export`, and `segment` and `evaluate` on what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from lhtclip.static_page.runtime import FILES
from tests.cli.conftest import Draw, Run


def test_export_and_run(lhtclip: Run, segment: Run, draw: Draw, checkpoint: Path) -> None:
    """With rounded weights; `tests/engines` has the graph without."""
    image = draw("photo.png", height=61, width=83)
    ran = lhtclip("export", "--model", checkpoint, "--method", "naclip", "--int8")
    assert ran.code == 0
    assert ran.paths == [Path(f"{checkpoint.name}.naclip.int8.onnx")]
    assert "differ from torch's by at most" in ran.err
    on_graph = ("--engine", "onnx", "--graph", ran.paths[0])
    labels: list[np.ndarray] = []
    for engine, options in (("torch", ()), ("onnx int8", on_graph)):
        ran = segment(image, "--out", engine, "--method", "naclip", *options, "--json")
        assert ran.code == 0, ran.err
        assert ran.json["settings"]["engine"] == engine
        labels.append(np.asarray(Image.open(Path(engine, "photo.png"))))
    assert (labels[0] == labels[1]).mean() > 0.97
    ran = segment(image, "--out", "out", *on_graph)
    assert ran.code == 2
    assert "was exported from another encoder; they differ in method" in ran.err
    assert not Path("out").exists()
    evaluate = ("evaluate", "scenes", "--model", checkpoint, "--method", "naclip", "--limit", 1)
    ran = lhtclip(*evaluate, *on_graph, "--out", "e", "--quiet", "--json")
    assert ran.json["datasets"][0]["settings"]["engine"] == "onnx int8"
    ran = lhtclip(*evaluate, "--dtype", "float32", "--out", "e", "--quiet")
    assert ran.code == 2
    assert "engine 'onnx int8', now 'torch'" in ran.err


def test_bad_input(lhtclip: Run, segment: Run, draw: Draw, checkpoint: Path) -> None:
    image = draw("photo.png")
    Path("folder").mkdir()
    for arguments, message in (
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
        (("--graph", "a.onnx"), "'torch' does not run graphs"),
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


def test_a_page_without_a_server(lhtclip: Run, checkpoint: Path) -> None:
    """The browser itself is in `tests/browser`; here everything that it needs is written."""
    page = ("export", "--page", "site", "--model", checkpoint)
    runtime = Path("package/dist")
    ran = lhtclip(*page, "--runtime", "package")
    assert (ran.code, ran.out) == (2, "")
    assert "package is not the npm package onnxruntime-web" in ran.err
    runtime.mkdir(parents=True)
    for name in FILES:
        (runtime / name).write_bytes(b"runtime")
    ran = lhtclip(*page, "--runtime", "package", "--out", "a.onnx")
    assert (ran.code, "not both" in ran.err) == (2, True)
    ran = lhtclip(*page, "--runtime", "package", "--templates", "plain")
    assert ran.code == 0, ran.err
    assert ran.paths == [Path("site")]
    about = json.loads(Path("site/model/model.json").read_text(encoding="utf-8"))
    assert about["templates"] == ["{}"]
    assert [each["lht"] for each in about["variants"]] == [True, False]
    for name in ("text.onnx", "tokenizer.json", *(each["file"] for each in about["variants"])):
        assert Path("site/model", name).stat().st_size > 1000
    html = Path("site/index.html").read_text(encoding="utf-8")
    assert "http-equiv" in html
    assert 'src="page/main.js"' in html
    assert "worker.js" in Path("site/page/api.js").read_text(encoding="utf-8")
    ran = lhtclip(*page, "--runtime", "package")
    assert (ran.code, "site exists and is not an empty folder" in ran.err) == (2, True)
