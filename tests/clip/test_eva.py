"""EVA02-CLIP in OpenCLIP's layout against a literal version of its image tower."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.clip.eva import build_eva
from lhtclip.clip.eva.vision import EvaVisionTower
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import CheckpointError
from lhtclip.methods import METHODS
from lhtclip.techniques.presets import preset_by_depth
from lhtclip.techniques.she import SheSettings
from tests.clip.eva_models import (
    HEADS,
    LAYERS,
    PATCH,
    SIDE,
    WIDTH,
    E,
    open_clip_config,
    random_text,
    save_eva,
)
from tests.clip.theirs import assert_close, noise


class Literal:
    """The image tower, written out: complex numbers turn pairs of channels."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = {name.removeprefix("visual.trunk."): each for name, each in tensors.items()}

    def norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, eps=1e-6)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias"))

    def turned(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Turn one head's patches, (patches, head width), each by its own place."""
        rows, columns = grid
        quarter = tokens.shape[1] // 4
        bands = [10_000 ** -(band / quarter) for band in range(quarter)]
        turned: list[Tensor] = []
        for index, token in enumerate(tokens):
            row, column = index // columns * 16 / rows, index % columns * 16 / columns
            angles = torch.tensor([row * b for b in bands] + [column * b for b in bands])
            pairs = torch.view_as_complex(token.view(-1, 2).contiguous())
            turned.append(torch.view_as_real(pairs * torch.exp(1j * angles)).flatten())
        return torch.stack(turned)

    def attention(self, x: Tensor, at: str, grid: tuple[int, int]) -> Tensor:
        queries, keys, values = (self.linear(x, f"{at}.{part}_proj") for part in "qkv")
        outputs: list[Tensor] = []
        width = WIDTH // HEADS
        for head in range(HEADS):
            q, k, v = (
                each[:, head * width : (head + 1) * width] for each in (queries, keys, values)
            )
            q, k = (torch.cat([each[:1], self.turned(each[1:], grid)]) for each in (q, k))
            outputs.append((q @ k.T / width**0.5).softmax(dim=-1) @ v)
        return self.linear(self.norm(torch.cat(outputs, dim=1), f"{at}.norm"), f"{at}.proj")

    def mlp(self, x: Tensor, at: str) -> Tensor:
        gate, passed = self.linear(x, f"{at}.fc1_g"), self.linear(x, f"{at}.fc1_x")
        return self.linear(self.norm(gate * gate.sigmoid() * passed, f"{at}.norm"), f"{at}.fc2")

    def streams(self, image: Tensor) -> list[Tensor]:
        """Return the residual stream of an image before and after each block."""
        t = self.tensors
        patches = F.conv2d(
            image[None], t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=PATCH
        )[0]
        grid = int(patches.shape[1]), int(patches.shape[2])
        x = torch.cat([t["cls_token"][0], patches.flatten(1).T])
        if grid == (SIDE // PATCH, SIDE // PATCH):
            x = x + t["pos_embed"][0]
        streams = [x]
        for layer in range(LAYERS):
            at = f"blocks.{layer}"
            x = x + self.attention(self.norm(x, f"{at}.norm1"), f"{at}.attn", grid)
            x = x + self.mlp(self.norm(x, f"{at}.norm2"), f"{at}.mlp")
            streams.append(x)
        return streams

    def project(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x, "norm"), "head")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("eva")


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, Tensor]:
    return save_eva(folder)


@pytest.fixture(scope="module")
def ours(folder: Path, tensors: dict[str, Tensor]) -> Checkpoint:
    return load_checkpoint(folder)


@pytest.mark.parametrize("size", [(SIDE, SIDE), (SIDE, 48)])
@torch.no_grad()
def test_image_tower(ours: Checkpoint, tensors: dict[str, Tensor], size: tuple[int, int]) -> None:
    """Added positions are those of CLIP; on another grid than theirs only the turns count here."""
    literal, vision = Literal(tensors), ours.model.vision
    assert isinstance(vision, EvaVisionTower)
    pixels = noise(*size)
    if size != (SIDE, SIDE):
        vision.positions.zero_()
    for index, image in enumerate(pixels):
        expected = literal.streams(image)
        x = vision.embed(pixels)[index : index + 1]
        for block, before in zip(vision.blocks_for(vision.grid(pixels)), expected, strict=False):
            assert_close(x[0], before)
            x = block(x)
        assert_close(x[0], expected[-1])
        assert_close(vision.project(x[0]), literal.project(expected[-1]))
        assert_close(vision(pixels)[index], literal.project(expected[-1][0]))
    vision.positions.copy_(tensors["visual.trunk.pos_embed"])


@torch.no_grad()
def test_text_tower(ours: Checkpoint) -> None:
    theirs = random_text()
    tokens = ours.tokenizer(["a photo of a cat", "dog"])
    expected = theirs.text_projection(theirs.text_model(tokens).pooler_output)
    assert_close(ours.model.text(tokens), expected)


@torch.no_grad()
def test_heads_contribute_after_the_norm_that_they_share(ours: Checkpoint) -> None:
    vision, pixels = ours.model.vision, noise(SIDE, SIDE)
    block = vision.blocks_for(vision.grid(pixels))[0]
    outputs = block.attention.head_outputs(block.norm1(vision.embed(pixels)))
    alone = block.attention.contributions(outputs, range(HEADS))
    bias = vision.blocks[0].attention.merge(torch.zeros_like(outputs))
    inner = block.attention.settled(torch.zeros_like(outputs))  # of the norm's own bias
    bias = bias - (inner @ block.attention.projections(range(HEADS))).sum(dim=1)
    assert_close(alone.sum(dim=1) + bias, block.attention.merge(outputs))


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_every_method_with_every_technique(ours: Checkpoint, method: str) -> None:
    she = SheSettings(heads=((2, 1), (3, 4), (3, 2)))
    pixels = noise(SIDE, 48)
    plain = DenseEncoder(ours.model, method=method)(pixels)
    lht = preset_by_depth(LAYERS).select(lht=True, she=she)
    changed = DenseEncoder(ours.model, method=method, lht=lht)(pixels)
    for embeddings in (plain, changed):
        assert embeddings.shape == (2, 4, 6, E)
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2, 4, 6))
    assert (plain - changed).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("name", "dim", "text", "millions"),
    [  # as OpenCLIP's table of its models counts them
        ("eva02_base_patch16_clip_224", 512, {"width": 512, "heads": 8}, 149.69),
        ("eva02_large_patch14_clip_224", 768, {"width": 768, "heads": 12}, 427.76),
        ("eva02_large_patch14_clip_336", 768, {"width": 768, "heads": 12}, 428.08),
    ],
)
def test_parameters(name: str, dim: int, text: dict[str, int], millions: float) -> None:
    with torch.device("meta"):
        model = build_eva(open_clip_config(name, dim=dim, text=text))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.005)


def test_towers_that_cannot_be_read() -> None:
    content = open_clip_config("eva02_enormous_patch14_clip_224", dim=1024, text={})
    with pytest.raises(CheckpointError, match=r"eva02_enormous.*eva02_base_patch16_clip_224"):
        build_eva(content)
