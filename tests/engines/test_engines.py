"""The same segmenter on other engines, and what they cannot run."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lhtclip import Segmenter, SegmenterConfig
from lhtclip.clip.config import PixelConfig
from lhtclip.encoder import DenseEncoder
from lhtclip.engines import ENGINES, check_engine, run_by
from lhtclip.engines import compiled as compiled_module
from lhtclip.engines import graph as graph_module
from lhtclip.engines.compiled import CompiledEncoder
from lhtclip.engines.graph import GraphEncoder
from lhtclip.engines.onnx_runtime import open_session
from lhtclip.errors import InputError, MissingDependencyError, UnknownNameError
from lhtclip.methods import METHODS
from lhtclip.methods.naclip import NaclipSettings
from tests.encoders import ALL, TWO_LAYERS
from tests.engines.conftest import Exported, assert_labels_equal
from tests.models import tiny_clip, tiny_pixels


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LHTCLIP_CACHE", str(tmp_path))
    return tmp_path


# Graphs


def test_a_graph_labels_as_torch_does(exported: Exported) -> None:
    plain = exported.segmenter
    runner = run_by("onnx", plain.encoder, pixels=plain.checkpoint.pixels, graph=exported.path)
    assert runner.engine == "onnx"
    other = Segmenter(
        plain.checkpoint, plain.encoder, plain.texts, windows=plain.windows, runner=runner
    )
    assert_labels_equal(other, plain)


def test_a_graph_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no graph"):
        Segmenter.from_config(
            SegmenterConfig("bundled", engine="onnx", graph=str(tmp_path / "a.onnx"))
        )


def test_no_place_for_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(graph_module, "cache_folder", no_home)
    with pytest.raises(InputError, match="set LHTCLIP_CACHE, or name a graph"):
        run_by("onnx", DenseEncoder(tiny_clip()), pixels=PixelConfig())


@pytest.mark.parametrize("method", ["scclip", "resclip-sfr"])
def test_methods_that_have_no_graph(method: str) -> None:
    with pytest.raises(InputError, match=f"{method}' cannot become a graph"):
        run_by("onnx", DenseEncoder(tiny_clip(), method=method), pixels=PixelConfig())


def test_an_engine_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_module, "graph_of", lambda *_, **__: (tmp_path, False))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"'onnx' need onnxruntime: pip install"):
        run_by("onnx", DenseEncoder(tiny_clip()), pixels=PixelConfig())


# The compiler


def test_one_case_for_every_number_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are told to be of any size, one window goes as two, and shapes have an end."""
    seen: list[torch.Size] = []

    def interpreted(function: Any, *, dynamic: bool) -> Any:
        assert not dynamic

        def run(pixels: torch.Tensor) -> torch.Tensor:
            seen.append(pixels.shape)
            return function(pixels)

        return run

    monkeypatch.setattr(torch, "compile", interpreted)
    monkeypatch.setattr(compiled_module, "_MOST_SHAPES", 2)
    encoder = DenseEncoder(tiny_clip(), lht=ALL)
    compiled = CompiledEncoder(encoder)
    for batch, height, width in ((3, 32, 32), (1, 32, 32), (2, 40, 32), (2, 16, 16), (4, 40, 32)):
        pixels = tiny_pixels(batch, height, width)
        torch.testing.assert_close(compiled(pixels), encoder(pixels), rtol=0, atol=1e-5)
        assert not hasattr(pixels, "_dynamo_dynamic_indices")
    assert [(each[0], each[2]) for each in seen] == [(3, 32), (2, 32), (2, 40), (4, 40)]


@pytest.mark.filterwarnings("default")  # the compiler warns about its own parts
def test_compiled_is_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One graph serves every number of windows; the code generator behind it is torch's own."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    encoder = DenseEncoder(tiny_clip(layers=2), lht=TWO_LAYERS)
    compiled = CompiledEncoder(encoder)
    torch._dynamo.utils.counters.clear()
    with torch.inference_mode():
        for batch in (3, 1, 5):
            pixels = tiny_pixels(batch, 32, 32)
            torch.testing.assert_close(compiled(pixels), encoder(pixels), rtol=0, atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_methods_that_cannot_be_compiled() -> None:
    encoder = DenseEncoder(tiny_clip(), method="resclip-sfr")
    with pytest.raises(InputError, match="cannot be compiled: use the engine 'torch'"):
        run_by("compile", encoder, pixels=PixelConfig())


# The choice


def test_torch_is_the_encoder_itself() -> None:
    encoder = DenseEncoder(tiny_clip())
    assert run_by("torch", encoder, pixels=PixelConfig()) is encoder
    assert encoder.engine in ENGINES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "onx"}, "Unknown engine 'onx'. Did you mean 'onnx'"),
        (
            {"engine": "compile", "graph": "a.onnx"},
            "'compile' does not run graphs: use the",
        ),
        ({"engine": "torch", "graph": "a.onnx"}, "'torch' does not run graphs"),
        ({"engine": "onnx", "device": "cuda"}, "runs on the CPU, not on 'cuda'"),
        ({"engine": "onnx", "dtype": "bfloat16"}, "works in float32, not in bfloat16"),
    ],
)
def test_bad_choices(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_engine(**{"graph": None, "device": "auto", "dtype": "auto"} | options)  # pyright: ignore


def test_where_engines_work() -> None:
    assert check_engine("onnx", graph=None, device="auto", dtype="auto") == ("cpu", "float32")
    assert check_engine("compile", graph=None, device="cuda", dtype="auto") == ("cuda", "auto")


def test_unknown_engine_before_anything_is_loaded() -> None:
    with pytest.raises(UnknownNameError, match="engine"):
        Segmenter.from_pretrained("no such model", engine="tensorrt")


def test_windows_are_of_whole_patches_or_not() -> None:
    encoder = DenseEncoder(tiny_clip())

    def run(pixels: Any, texts: Any) -> Any:
        assert pixels.flags.c_contiguous
        return (encoder(torch.from_numpy(pixels)) @ torch.from_numpy(texts).T).numpy()

    pixels = tiny_pixels(2, 37, 45)
    found = GraphEncoder("onnx", run, encoder)(pixels)
    torch.testing.assert_close(found, encoder(pixels), rtol=0, atol=1e-6)


def test_graphs_are_made_once_for_each_setting_of_a_method(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def export(encoder: DenseEncoder, path: Path, **_: Any) -> None:
        path.parent.mkdir(exist_ok=True)
        path.touch()

    monkeypatch.setattr(graph_module, "export_graph", export)
    for sigma in (5.0, 1.0, 5.0):
        method = replace(METHODS["naclip"], settings=NaclipSettings(sigma))
        encoder = DenseEncoder(tiny_clip(), method=method)
        graph_module.graph_of(encoder, pixels=PixelConfig(), graph=None)
    assert len(list((cache / "graphs").glob("*.onnx"))) == 2
    assert caplog.text.count("Making a graph") == 2


@pytest.mark.parametrize("spoil", ["graph", "digest"])
def test_a_graph_of_the_cache_that_is_not_what_was_written_is_made_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    def export(encoder: DenseEncoder, path: Path, **_: Any) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"the graph")

    def graph() -> Path:
        return graph_module.graph_of(encoder, pixels=PixelConfig(), graph=None)[0]

    monkeypatch.setattr(graph_module, "export_graph", export)
    encoder = DenseEncoder(tiny_clip())
    path = graph()
    if spoil == "graph":
        path.write_bytes(b"another one")
    else:
        path.with_suffix(".sha256").unlink()
    assert graph().read_bytes() == b"the graph"
    assert "is not what was written: it is made again" in caplog.text
    caplog.clear()
    graph()
    assert caplog.text == ""


def test_what_is_no_graph_is_not_run(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"a\.onnx.*Export it again"):
        open_session(tmp_path / "a.onnx")
