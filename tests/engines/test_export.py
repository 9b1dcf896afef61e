"""Graphs in ONNX Runtime against torch: every method, any batch, grid and number of words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lhtclip import Segmenter
from lhtclip.clip.config import PixelConfig, VisionConfig
from lhtclip.clip.siglip.config import SiglipConfig, SiglipTextConfig
from lhtclip.clip.siglip.model import Siglip
from lhtclip.encoder import DenseEncoder
from lhtclip.engines import export as module
from lhtclip.engines.export import export_graph
from lhtclip.engines.graph import GraphEncoder
from lhtclip.engines.graph_description import GraphDescription
from lhtclip.engines.int8 import round_weights
from lhtclip.engines.onnx_runtime import open_graph
from lhtclip.errors import InputError, LhtClipError, MissingDependencyError
from lhtclip.methods import METHODS, LastBlock, Method
from lhtclip.methods.resclip import RcsSettings
from lhtclip.methods.resclip_feedback import SfrSettings, resclip_with_feedback
from lhtclip.techniques.settings import OFF
from tests.engines.conftest import Exported, assert_labels_equal
from tests.models import PATCH, tiny_clip, tiny_pixels

PIXELS = PixelConfig(mean=(0.1, 0.2, 0.3))
EXPORTABLE = [method for method in METHODS.values() if method.exportable]
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


def test_techniques_residual_and_mlp(exported: Exported) -> None:
    assert exported.agreement.difference < 1e-5
    assert exported.agreement.cosine == pytest.approx(1, abs=1e-5)
    assert [path.name for path in exported.path.parent.iterdir()] == ["graph.onnx"]
    assert_equal(exported.path, exported.encoder)


def test_every_method(tmp_path: Path) -> None:
    """All in one graph, one behind the other, because tracing is what takes time."""

    def update(last: LastBlock) -> Tensor:
        return torch.cat([method.apply(last) for method in EXPORTABLE])

    def reads(depth: int) -> set[int]:
        return {layer for method in EXPORTABLE for layer in method.layers_read(depth)}

    def positions(_: object) -> str:
        return "antialiased"  # bicubic ones are in the other graphs

    model, path = tiny_clip(layers=2), tmp_path / "a.onnx"
    method = Method("all", update, False, False, "this test", reads=reads, positions=positions)
    export_graph(DenseEncoder(model, method=method), path, pixels=PIXELS)
    assert len(EXPORTABLE) == len(METHODS) - 3
    run, pixels = open_graph(path), tiny_pixels(2, 40, 24)
    together = torch.from_numpy(run(pixels.numpy(), np.eye(24, dtype=np.float32)))
    for given, method in zip(together.split(2), EXPORTABLE, strict=True):
        alike = replace(method, positions=positions, mend=None)  # `update` mends as well
        expected = DenseEncoder(model, method=alike, residual=False, mlp=False)(pixels)
        torch.testing.assert_close(given, expected, rtol=0, atol=1e-5)


def test_siglip(tmp_path: Path) -> None:
    shape = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
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


def test_int8_is_smaller_and_near(exported: Exported, tmp_path: Path) -> None:
    path = round_weights(exported.path, tmp_path / "int8.onnx")
    weights = sum(each.numel() for each in exported.encoder.model.vision.parameters())
    saved = exported.path.stat().st_size - path.stat().st_size
    assert 2 * weights < saved < 3 * weights  # matrices only, and the nodes that round
    pixels, identity = tiny_pixels(3, 40, 24), np.eye(24, dtype=np.float32)
    given = torch.from_numpy(open_graph(path)(pixels.numpy(), identity))
    cosines = F.cosine_similarity(given, exported.encoder(pixels), dim=-1)
    assert 0.98 < cosines.mean() < 1 - 1e-6
    assert GraphDescription.read(path) == GraphDescription.read(exported.path)


def test_an_int8_graph_sees_each_window_by_itself(exported: Exported, tmp_path: Path) -> None:
    rounded = round_weights(exported.path, tmp_path / "int8.onnx")
    run = GraphEncoder("onnx int8", open_graph(rounded), exported.encoder)
    one = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    alone, beside = run(one), run(torch.cat([one, 30 * torch.ones_like(one)]))
    assert torch.equal(alone[0], beside[0])
    together = GraphEncoder("onnx", open_graph(rounded), exported.encoder)
    assert not torch.equal(alone[0], together(torch.cat([one, 30 * torch.ones_like(one)]))[0])


def test_a_graph_says_what_it_was_made_from(exported: Exported) -> None:
    encoder, path = exported.encoder, exported.path
    description = GraphDescription.read(path)
    assert description == GraphDescription.of(
        encoder, exported.segmenter.checkpoint.pixels, int8=False
    )
    description.check_made_from(encoder, path)
    other = DenseEncoder(encoder.model, method="naclip", lht=encoder.lht, residual=True)
    with pytest.raises(InputError, match="differ in method, method settings, mlp"):
        description.check_made_from(other, path)


def test_openvino_runs_the_file(exported: Exported) -> None:
    """As `docs/how-to/export.md` says."""
    float32 = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(exported.path), "CPU", float32)

    def run(pixels: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
        return compiled({"pixels": pixels, "texts": texts})["logits"].copy()

    plain = exported.segmenter
    other = Segmenter(
        plain.checkpoint,
        plain.encoder,
        plain.texts,
        windows=plain.windows,
        runner=GraphEncoder("openvino", run, plain.encoder),
    )
    assert_labels_equal(other, plain)


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
    with pytest.raises(InputError, match="These are bfloat16 on cpu"):
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
    with pytest.raises(InputError, match="is not a graph of this version's `lhtclip export`"):
        GraphDescription.read(path)
