"""A family is a folder and a line: one made here, as CONTRIBUTING says, is saved, read and used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lhtclip import METHODS, Segmenter, WindowSettings
from lhtclip.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lhtclip.checkpoints.families import FAMILIES
from lhtclip.clip.config import PixelConfig, PromptConfig, VisionConfig, read_section
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.positions import BICUBIC, positions_for_grid
from lhtclip.clip.siglip import read_tokenizer
from lhtclip.clip.towers import ImageTextModel, ImageTower, TablePromptTower, fresh_blocks
from tests.conftest import build_siglip_tokenizer


@dataclass(frozen=True, slots=True)
class MeanConfig:
    vision: VisionConfig
    text: PromptConfig

    @property
    def projection_dim(self) -> int:
        return self.vision.hidden_size

    def to_json(self) -> dict[str, Any]:
        towers = {"vision_config": asdict(self.vision), "text_config": asdict(self.text)}
        return {"model_type": "mean_clip", **towers}


class MeanVision(ImageTower):
    """An image's feature is the mean of its patches; there is no class token."""

    class_tokens = 0

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width)
        self.positions = nn.Parameter(torch.zeros(config.grid_size**2, width))
        self.blocks = fresh_blocks(config)
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        table = positions_for_grid(
            self.positions, self.grid(pixels), class_tokens=0, rule=positions
        )
        return self.patch_tokens(pixels) + table

    def project(self, tokens: Tensor) -> Tensor:
        return self.final_norm(tokens)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.embed(pixels)
        for block in self.blocks:
            x = block(x)
        return self.project(x).mean(dim=1)


class MeanText(TablePromptTower):
    causal = False

    def forward(self, token_ids: Tensor) -> Tensor:
        return self.final_norm(self.contextualise(token_ids)).mean(dim=1)


class MeanClip(ImageTextModel):
    def __init__(self, config: MeanConfig) -> None:
        super().__init__()
        self.config = config
        self.vision, self.text = MeanVision(config.vision), MeanText(config.text)


def build(content: Mapping[str, Any]) -> MeanClip:
    vision = read_section(content, "vision_config", VisionConfig())
    return MeanClip(MeanConfig(vision, read_section(content, "text_config", PromptConfig())))


OUTSIDE = (
    *(f"vision.{each}" for each in ("patch_embedding.weight", "patch_embedding.bias")),
    *(f"text.{each}" for each in ("token_embedding.weight",)),
    *(f"{tower}.positions" for tower in ("vision", "text")),
    *(f"{tower}.final_norm.{kind}" for tower in ("vision", "text") for kind in ("weight", "bias")),
)
PARTS = ("norm1", "attention.in_projection", "attention.out_projection", "norm2")
MEAN = Family(
    build,
    read_tokenizer,
    PixelConfig(),
    TensorNames(
        top={name: f"outside.{name}" for name in OUTSIDE},
        towers={"vision": "v.", "text": "t."},
        block={name: (f"{name}.{{}}",) for name in (*PARTS, "mlp.expand", "mlp.contract")},
    ),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(FAMILIES, "mean_clip", MEAN)  # the line
    tokenizer = build_siglip_tokenizer()
    text = PromptConfig(tokenizer.get_vocab_size(), 32, 64, 2, 2, 20)
    model = MeanClip(MeanConfig(VisionConfig(32, 64, 4, 4, 32, 8), text))
    generator = torch.Generator().manual_seed(0)
    for tensor in model.parameters():
        tensor.data += 0.2 * torch.randn(tensor.shape, generator=generator)
    save_checkpoint(model, tmp_path, dtype=torch.float32)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_what_is_saved_is_read(folder: Path) -> None:
    loaded = load_checkpoint(folder).model
    assert isinstance(loaded, MeanClip)
    again: Callable[[], Any] = load_checkpoint(folder).model.state_dict
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, again()[name])


def test_every_method_works_on_it(folder: Path) -> None:
    windows = WindowSettings(short_side=48, window=32, stride=16)
    segmenter = Segmenter.from_pretrained(
        folder, windows=windows, text_cache=False, device="cpu", dtype="float32"
    )
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    for name in METHODS:
        result = segmenter.with_method(name).segment(image, ["cat", "dog", "tree"])
        assert result.labels.shape == (50, 70)
        assert np.isfinite(result.scores).all()
