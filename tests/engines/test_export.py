"""Graphs in ONNX Runtime against torch: every method, any batch, grid and number of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lhtclip.clip.config import PixelConfig, VisionConfig
from lhtclip.clip.siglip.config import SiglipConfig, SiglipTextConfig
from lhtclip.clip.siglip.model import Siglip
from lhtclip.encoder import DenseEncoder
from lhtclip.engines import export as module
from lhtclip.engines.export import export_graph
from lhtclip.engines.graph_description import GraphDescription
from lhtclip.engines.onnx_runtime import open_graph
from lhtclip.errors import InputError, LhtClipError, MissingDependencyError
from lhtclip.methods import METHODS, Method
from lhtclip.methods.resclip import RcsSettings
from lhtclip.methods.resclip_feedback import SfrSettings, resclip_with_feedback
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings
from tests.models import PATCH, tiny_clip, tiny_pixels

PIXELS = PixelConfig(mean=(0.1, 0.2, 0.3))
LHT = LhtSettings(
    SsrSettings(layers=(1,), alpha=0.2),
    AtrSettings(threshold=0.24),  # random tokens score about 0.23
    SheSettings(heads=((1, 2), (1, 4), (1, 1)), beta=0.2),
)
SHAPES = {  # windows, height, width, words
    "trained grid": (2, 32, 32, 3),
    "one window, one word": (1, 40, 24, 1),
    "as many patches, another shape": (3, 16, 64, 5),
    "one patch": (1, 8, 8, 2),
    "large": (1, 104, 72, 30),
}


def assert_equal(path: Path, encoder: DenseEncoder, *, atol: float = 1e-5) -> None:
    run, width = open_graph(path), encoder.model.config.projection_dim
    for windows, height, width_, words in SHAPES.values():
        pixels = tiny_pixels(windows, height, width_)
        texts = F.normalize(torch.randn(words, width, generator=torch.manual_seed(0)), dim=-1)
        found = run(pixels.numpy(), texts.numpy())
        assert found.shape == (windows, height // PATCH, width_ // PATCH, words)
        np.testing.assert_allclose(found, (encoder(pixels) @ texts.T).numpy(), rtol=0, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "lht"),
    [
        ("clip", OFF),  # residual connection and MLP of the last block stay
        ("sclip", LHT),
        ("naclip", LHT),  # a bias of the grid
        ("resclip", LHT),  # streams of other layers
        ("clip-surgery", LHT),  # a second stream
    ],
    ids=str,
)
def test_methods_and_techniques(method: str, lht: LhtSettings, tmp_path: Path) -> None:
    encoder = DenseEncoder(
        tiny_clip(layers=3 if method == "resclip" else 2), method=method, lht=lht
    )
    agreement = export_graph(encoder, tmp_path / "a.onnx", pixels=PIXELS)
    assert agreement.difference < 1e-5
    assert agreement.cosine == pytest.approx(1, abs=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert_equal(tmp_path / "a.onnx", encoder)


@pytest.mark.slow
def test_siglip(tmp_path: Path) -> None:
    shape = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    vision = VisionConfig(**shape, image_size=32, patch_size=PATCH, hidden_act="gelu_pytorch_tanh")
    text = SiglipTextConfig(**shape, vocab_size=16, max_position_embeddings=4)
    model = Siglip(SiglipConfig(vision, text)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    encoder = DenseEncoder(model, method="naclip", lht=OFF)
    export_graph(encoder, tmp_path / "a.onnx", pixels=PIXELS)
    assert_equal(tmp_path / "a.onnx", encoder)


@pytest.mark.slow
def test_int8_is_smaller_and_near(tmp_path: Path) -> None:
    encoder, path = DenseEncoder(tiny_clip(layers=2), method="clearclip"), tmp_path / "a.onnx"
    agreement = export_graph(encoder, path, pixels=PIXELS, int8=True)
    weights = sum(weight.numel() for weight in encoder.model.vision.parameters())
    assert path.stat().st_size < 2 * weights + 150_000  # the graph itself takes some 100 kB
    assert 1e-4 < agreement.difference < 0.5
    assert 0.98 < agreement.cosine < 1
    description = GraphDescription.read(path)
    assert description == GraphDescription.of(encoder, PIXELS, int8=True)
    description.check_made_from(encoder, path)
    other = DenseEncoder(encoder.model, method="naclip", mlp=True)
    with pytest.raises(InputError, match=r"differs in method, mlp\. Give the options"):
        description.check_made_from(other, path)


def test_a_graph_that_is_not_equal_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trace(encoder: object, path: Path, description: object) -> Path:
        path.write_bytes(b"a graph")
        return path

    monkeypatch.setattr(module, "_trace", trace)
    monkeypatch.setattr(module, "_compare", lambda *_: module.Agreement(2e-3, 0.999))
    old = tmp_path / "a.onnx"
    old.write_bytes(b"old")
    with pytest.raises(LhtClipError, match=r"differ from torch's by 2\.0e-03"):
        export_graph(DenseEncoder(tiny_clip()), old, pixels=PIXELS)
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]
    monkeypatch.setattr(module, "_compare", lambda *_: module.Agreement(1e-4, 1.0))
    export_graph(DenseEncoder(tiny_clip()), old, pixels=PIXELS)
    assert old.read_bytes() == b"a graph"


@pytest.mark.parametrize(
    "method",
    [
        METHODS["scclip"],
        METHODS["resclip-sfr"],
        resclip_with_feedback(RcsSettings("sclip"), SfrSettings()),  # by property, not by name
    ],
    ids=lambda method: method.name,
)
def test_methods_without_a_graph(method: Method, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{method.name}' cannot become a graph: use another"):
        export_graph(DenseEncoder(tiny_clip(), method=method), tmp_path / "a", pixels=PIXELS)
    assert not any(tmp_path.iterdir())


def test_graphs_are_float32(tmp_path: Path) -> None:
    encoder = DenseEncoder(tiny_clip().bfloat16())
    with pytest.raises(InputError, match="these are bfloat16 on cpu"):
        export_graph(encoder, tmp_path / "a", pixels=PIXELS)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot write .* Choose a folder"):
        export_graph(DenseEncoder(tiny_clip()), tmp_path / "file" / "a", pixels=PIXELS)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_missing_packages(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"{package}: pip install 'lhtclip\[onnx\]'"):
        export_graph(DenseEncoder(tiny_clip()), tmp_path / "a", pixels=PIXELS)


@pytest.mark.parametrize("content", [b"", b"nothing of ours"])
def test_foreign_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(InputError, match=r"no graph .*: write one with `lhtclip export`"):
        GraphDescription.read(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no graph that `lhtclip export` of this version"):
        GraphDescription.read(path)
