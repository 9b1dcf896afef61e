"""EVA02-CLIP in OpenCLIP's layout against a literal version of its image tower."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.clip.config import VisionConfig
from lhtclip.clip.eva import build_eva
from lhtclip.clip.eva.vision import TOWERS, EvaVisionTower
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import CheckpointError
from lhtclip.methods import METHODS
from lhtclip.techniques.presets import preset_by_depth
from lhtclip.techniques.she import SheSettings
from tests.clip.openai_clip import openai_names
from tests.clip.published import random_clip, tower
from tests.clip.theirs import assert_close, noise

HEADS, WIDTH, HIDDEN, LAYERS, SIDE, PATCH, E = 4, 64, 40, 5, 32, 8, 24
TINY = "eva02_tiny"
TINY_TOWER = VisionConfig(
    hidden_size=WIDTH,
    intermediate_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    image_size=SIDE,
    patch_size=PATCH,
    hidden_act="silu",
    layer_norm_eps=1e-6,
)
TEXT: dict[str, Any] = tower(48, 3) | {"vocab_size": 523, "bos_token_id": 521, "eos_token_id": 522}


def open_clip_config(name: str, *, dim: int, text: dict[str, Any]) -> dict[str, Any]:
    vision = {"timm_model_name": name, "timm_model_pretrained": False, "timm_pool": "token"}
    model = {"embed_dim": dim, "vision_cfg": vision | {"timm_proj": None}, "custom_text": True}
    return {"model_cfg": model | {"text_cfg": {"context_length": 77} | text}}


def random_weights() -> dict[str, Tensor]:
    """Weights by timm's and OpenCLIP's names, spread widely enough for every part to show."""
    generator = torch.Generator().manual_seed(0)

    def weights(*shape: int, around: float = 0.0, spread: float | None = None) -> Tensor:
        usual = shape[-1] ** -0.5 if len(shape) > 1 else 0.3
        return around + (spread or usual) * torch.randn(shape, generator=generator)

    def norm(name: str, width: int) -> dict[str, Tensor]:
        return {f"{name}.weight": weights(width, around=1.0), f"{name}.bias": weights(width)}

    def linear(name: str, rows: int, columns: int) -> dict[str, Tensor]:
        return {f"{name}.weight": weights(rows, columns), f"{name}.bias": weights(rows)}

    found = {
        "cls_token": weights(1, 1, WIDTH),
        "pos_embed": weights(1, 1 + (SIDE // PATCH) ** 2, WIDTH, spread=0.5),
        "patch_embed.proj.weight": weights(WIDTH, 3, PATCH, PATCH, spread=0.1),
        "patch_embed.proj.bias": weights(WIDTH),
        **norm("norm", WIDTH),
        **linear("head", E, WIDTH),
    }
    for layer in range(LAYERS):
        at = f"blocks.{layer}"
        found |= norm(f"{at}.norm1", WIDTH) | norm(f"{at}.norm2", WIDTH)
        found |= norm(f"{at}.attn.norm", WIDTH) | norm(f"{at}.mlp.norm", HIDDEN)
        for part in ("q_proj", "k_proj", "v_proj", "proj"):
            found |= linear(f"{at}.attn.{part}", WIDTH, WIDTH)
        del found[f"{at}.attn.k_proj.bias"]
        found |= linear(f"{at}.mlp.fc1_g", HIDDEN, WIDTH) | linear(f"{at}.mlp.fc1_x", HIDDEN, WIDTH)
        found |= linear(f"{at}.mlp.fc2", WIDTH, HIDDEN)
    return {f"visual.trunk.{name}": each for name, each in found.items()}


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
def tensors() -> dict[str, Tensor]:
    theirs = random_clip(
        {"projection_dim": E, "vision_config": tower(16, 2), "text_config": TEXT},
        activation="gelu",
    )
    text = {
        f"text.{name}": each
        for name, each in openai_names(theirs.state_dict()).items()
        if not name.startswith("visual.") and name != "logit_scale"
    }
    return random_weights() | text | {"logit_scale": torch.tensor(3.0)}


@pytest.fixture(scope="module")
def ours(
    tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory, tokenizers: dict[str, Any]
) -> Checkpoint:
    folder: Path = tmp_path_factory.mktemp("eva")
    text = {"vocab_size": 523, "width": 48, "heads": 3, "layers": 2}
    content = open_clip_config(TINY, dim=E, text=text)
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    save_file(tensors, folder / "open_clip_model.safetensors")
    tokenizers["last"].save(str(folder / "tokenizer.json"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TOWERS, TINY, TINY_TOWER)
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
    theirs = random_clip(
        {"projection_dim": E, "vision_config": tower(16, 2), "text_config": TEXT},
        activation="gelu",
    )
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
