"""Our PE-Core against its architecture written out by the names of timm's tensors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from lhtclip.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lhtclip.checkpoints.state_dict import scatter
from lhtclip.clip.open_clip import timm_clip_config
from lhtclip.clip.pe import PE_CORE, PE_TENSORS
from lhtclip.clip.pe.config import POOL_HEADS, TOWERS, PeConfig, PeVisionConfig
from lhtclip.clip.pe.model import PeCore
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import CheckpointError, InputError
from lhtclip.methods import METHODS
from lhtclip.techniques.presets import preset_by_depth
from lhtclip.techniques.she import SheSettings
from tests.clip.pe_models import TINY, meta_names, open_clip_config, save_pe
from tests.clip.theirs import assert_close, noise
from tests.conftest import build_tokenizer

SIZES = [(32, 32), (40, 24), (64, 80)]  # the trained grid, and others


def random_model(config: PeVisionConfig) -> PeCore:
    _, text, width = timm_clip_config(open_clip_config(), TOWERS)
    model = PeCore(PeConfig(config, text, width)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for tensor in model.parameters():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
    return model


@pytest.fixture(params=[True, False], ids=["class token", "patches alone"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PeCore:
    monkeypatch.setitem(TOWERS, "vit_pe_core_nano", TINY)
    return random_model(replace(TINY, class_token=request.param))


class Literal:
    """PE-Core's image tower as Meta's code runs it (arXiv 2504.13181), token by token in places."""

    def __init__(self, model: PeCore) -> None:
        self.config = model.config.vision
        self.before = model.vision.class_tokens
        self.tensors = scatter(model, PE_TENSORS)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[f"visual.trunk.{name}"]

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self[f"{name}.weight"], self[f"{name}.bias"])

    def norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self[f"{name}.weight"], self[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self.config.layer_norm_eps)

    def mlp(self, x: Tensor, name: str) -> Tensor:
        return self.linear(F.gelu(self.linear(x, f"{name}.fc1")), f"{name}.fc2")

    def embed(self, pixels: Tensor) -> Tensor:
        side = self.config.patch_size
        x = F.conv2d(pixels, self["patch_embed.proj.weight"], stride=side)
        table = self["pos_embed"][:, self.before :].unflatten(1, (self.config.grid_size,) * 2)
        table = F.interpolate(
            table.permute(0, 3, 1, 2), size=x.shape[2:], mode="bilinear", align_corners=False
        )
        x = (x + table).flatten(2).mT
        if self.before:
            first = self["cls_token"] + self["pos_embed"][:, :1]
            x = torch.cat([first.expand(len(x), -1, -1), x], dim=1)
        return self.norm(x, "norm_pre")

    def turn(self, x: Tensor, columns: int) -> Tensor:
        """Multiply pairs of channels, as complex numbers, by e^(i θ place), one token at a time."""
        quarter = x.shape[-1] // 4
        rates = 10000.0 ** -(torch.arange(quarter) / quarter)
        turned = x.clone()
        for token in range(self.before, x.shape[-2]):
            row, column = divmod(token - self.before, columns)
            angles = torch.cat([(column + self.before) * rates, (row + self.before) * rates])
            pairs = torch.view_as_complex(x[..., token, :].unflatten(-1, (-1, 2)).contiguous())
            pairs = pairs * torch.polar(torch.ones_like(angles), angles)
            turned[..., token, :] = torch.view_as_real(pairs).flatten(-2)
        return turned

    def heads(self, x: Tensor, count: int) -> Tensor:
        return x.unflatten(-1, (count, -1)).transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2)

    def block(self, x: Tensor, layer: int, columns: int) -> Tensor:
        name, count = f"blocks.{layer}", self.config.num_attention_heads
        qkv = self.linear(self.norm(x, f"{name}.norm1"), f"{name}.attn.qkv").chunk(3, dim=-1)
        q, k, v = (self.heads(part, count) for part in qkv)
        mixed = self.attend(self.turn(q, columns), self.turn(k, columns), v)
        x = x + self.linear(mixed, f"{name}.attn.proj")
        return x + self.mlp(self.norm(x, f"{name}.norm2"), f"{name}.mlp")

    def pool(self, x: Tensor) -> Tensor:
        q = self.linear(self["attn_pool.latent"].expand(len(x), -1, -1), "attn_pool.q")
        k, v = self.linear(x, "attn_pool.kv").chunk(2, dim=-1)
        x = self.attend(*(self.heads(part, POOL_HEADS) for part in (q, k, v)))
        x = self.linear(x, "attn_pool.proj")
        return self.linear(x + self.mlp(self.norm(x, "attn_pool.norm"), "attn_pool.mlp"), "head")

    def streams(self, pixels: Tensor) -> list[Tensor]:
        streams = [self.embed(pixels)]
        columns = pixels.shape[-1] // self.config.patch_size
        for layer in range(self.config.num_hidden_layers):
            streams.append(self.block(streams[-1], layer, columns))
        return streams


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_image_tower(model: PeCore, size: tuple[int, int]) -> None:
    tower, theirs, pixels = model.vision, Literal(model), noise(*size)
    expected = theirs.streams(pixels)
    x = tower.embed(pixels)
    assert_close(x, expected[0])
    for block, stream in zip(tower.blocks_for(tower.grid(pixels)), expected[1:], strict=True):
        x = block(x)
        assert_close(x, stream)
    assert_close(tower(pixels), theirs.pool(theirs.norm(expected[-1], "norm")).squeeze(1))


@torch.no_grad()
def test_a_token_alone_is_what_the_pooling_head_makes_of_it(model: PeCore) -> None:
    theirs, tokens = Literal(model), model.vision.embed(noise(32, 32))[:, :5]
    one_by_one = [theirs.pool(theirs.norm(token, "norm")[None, None]) for token in tokens[0]]
    assert_close(model.vision.project(tokens[:1]), torch.cat(one_by_one, dim=1))


@torch.no_grad()
def test_places_matter_to_queries_with_queries(model: PeCore) -> None:
    """Methods see turned queries and keys: equal tokens differ by their places, values do not."""
    tower = model.vision
    attention = tower.blocks_for((3, 4))[0].attention
    tokens = tower.embed(noise(8, 8))[:, -1:].expand(-1, tower.class_tokens + 12, -1)
    queries, values = attention.queries(tokens), attention.values(tokens)
    first, last = tower.class_tokens, -1
    assert (queries[:, :, first] - queries[:, :, last]).norm() > 1
    assert torch.equal(values[:, :, first], values[:, :, last])
    alone = attention.queries(tokens[:, first:])  # as methods do that leave out the class token
    assert_close(alone, queries[:, :, first:])


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_every_method_with_every_technique(model: PeCore, method: str) -> None:
    pixels = noise(32, 48)
    she = SheSettings(heads=((1, 1), (2, 3)))
    encoded = [
        DenseEncoder(model, method=method, lht=lht)(pixels)
        for lht in (preset_by_depth(3).select(lht=on, she=on and she) for on in (False, True))
    ]
    for embeddings in encoded:
        assert embeddings.shape == (2, 4, 6, 16)
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2, 4, 6))
    assert (encoded[0] - encoded[1]).abs().max() > 1e-3


# Files


def test_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOWERS, "vit_pe_core_nano", TINY)
    save_pe(tmp_path)
    loaded = load_checkpoint(tmp_path)
    assert loaded.pixels.mean == loaded.pixels.std == (0.5, 0.5, 0.5)
    assert loaded.tokenizer.context_length == loaded.model.config.text.max_position_embeddings
    pixels = noise(40, 24)
    assert isinstance(loaded.model, PeCore)
    theirs = Literal(loaded.model)
    expected = theirs.pool(theirs.norm(theirs.streams(pixels)[-1], "norm")).squeeze(1)
    with torch.no_grad():
        assert_close(loaded.model.vision(pixels), expected)


def test_metas_own_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOWERS, "vit_pe_core_nano", TINY)
    tensors = save_pe(tmp_path)
    tensors["visual.trunk.head.bias"].zero_()
    save_file(tensors, tmp_path / "open_clip_model.safetensors")
    torch.save(meta_names(tensors), tmp_path / "PE-Core-nano.pt")
    metas, ours = (load_checkpoint(path) for path in (tmp_path / "PE-Core-nano.pt", tmp_path))
    assert metas.model.config.vision == TINY
    assert metas.pixels == ours.pixels
    for name, tensor in ours.model.state_dict().items():
        assert torch.equal(metas.model.state_dict()[name], tensor), name
    assert torch.equal(metas.tokenizer(["a cat"]), ours.tokenizer(["a cat"]))


def test_it_is_only_read(model: PeCore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\(pe_core\) cannot be saved.* chinese_clip, clip, "):
        save_checkpoint(model, tmp_path / "copy", dtype=torch.float32)
    assert not (tmp_path / "copy").exists()


def test_unpublished_shapes_of_metas_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pt"
    shapes = {
        "visual.attn_pool.probe": (1, 1, 32),
        "visual.conv1.weight": (32, 3, 8, 8),
        "visual.positional_embedding": (17, 32),
    }
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, file)
    build_tokenizer(end_first=False).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"published PE-Cores: .* of width 32"):
        load_checkpoint(file)


def test_misshapen_parts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOWERS, "vit_pe_core_nano", TINY)
    tensors = save_pe(tmp_path)
    name = "visual.trunk.attn_pool.kv.weight"
    save_file(tensors | {name: torch.zeros(32, 32)}, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path)
    assert f"{name} has shape (32, 32)" in str(error.value)
    assert "(64, 32)" in str(error.value)


def test_unknown_towers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOWERS, "vit_pe_core_nano", TINY)
    save_pe(tmp_path)
    file = tmp_path / "open_clip_config.json"
    file.write_text(file.read_text().replace("core_nano", "core_mega"))
    with pytest.raises(CheckpointError, match=r"'vit_pe_core_mega', .* vit_pe_core_tiny"):
        load_checkpoint(tmp_path)


# Width and depth of the texts, and all parameters as in OpenCLIP 3.3 with timm 1.0.
PUBLISHED: dict[str, tuple[int, int, int, int, int]] = {
    "vit_pe_core_tiny_patch16_384": (512, 512, 12, 32, 69_546_113),
    "vit_pe_core_small_patch16_384": (512, 512, 12, 32, 87_188_225),
    "vit_pe_core_base_patch16_224": (1024, 1024, 24, 32, 447_660_545),
    "vit_pe_core_large_patch14_336": (1024, 1024, 24, 32, 671_138_817),
    "vit_pe_core_gigantic_patch14_448": (1280, 1280, 24, 72, 2_419_267_841),
}


@pytest.mark.parametrize("tower", PUBLISHED)
def test_parameters_of_the_published_models(tower: str) -> None:
    shared, width, layers, context, parameters = PUBLISHED[tower]
    content: dict[str, Any] = open_clip_config(tower=tower)
    content["model_cfg"]["embed_dim"] = shared
    content["model_cfg"]["text_cfg"] = {
        "context_length": context,
        "vocab_size": 49408,
        "width": width,
        "heads": width // 64,
        "layers": layers,
    }
    with torch.device("meta"):
        model = PE_CORE.build(json.loads(json.dumps(content)))
    assert sum(tensor.numel() for tensor in model.parameters()) == parameters
