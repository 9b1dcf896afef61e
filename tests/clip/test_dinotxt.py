"""Our dino.txt against `transformers.DINOv3ViTModel`, and its head and texts written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DINOv3ViTModel

from lhtclip.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lhtclip.clip.dinotxt import DINO_TXT, DinoTxt
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import CheckpointError, InputError
from lhtclip.methods import METHODS
from lhtclip.techniques.presets import preset_by_depth
from lhtclip.techniques.she import SheSettings
from tests.checkpoints.spoil import change_config
from tests.clip.dinotxt_models import HEADS, WIDTH, save_dino_txt
from tests.clip.theirs import assert_close, noise

SIZES = [(32, 32), (24, 56)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dinotxt")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> tuple[DINOv3ViTModel, dict[str, Tensor]]:
    return save_dino_txt(folder)


@pytest.fixture(scope="module")
def model(folder: Path, theirs: object) -> DinoTxt:
    loaded = load_checkpoint(folder).model
    assert isinstance(loaded, DinoTxt)
    return loaded


def literal_block(
    x: Tensor, tensors: dict[str, Tensor], name: str, heads: int, *, sclip: bool = False
) -> Tensor:
    """One block of the head, which knows no places, or of the text tower, which is causal."""
    text = name.startswith("text")
    attention, mlp = ("attention", "feed_forward") if text else ("attn", "mlp")
    norms = ("attention_norm", "ffn_norm") if text else ("norm1", "norm2")

    def linear(x: Tensor, part: str) -> Tensor:
        return F.linear(x, tensors[f"{name}.{part}.weight"], tensors.get(f"{name}.{part}.bias"))

    def norm(x: Tensor, part: str) -> Tensor:
        weight, bias = tensors[f"{name}.{part}.weight"], tensors[f"{name}.{part}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias)

    def scaled(x: Tensor, part: str) -> Tensor:
        return x * tensors[f"{name}.{part}.gamma"] if not text else x

    qkv = linear(norm(x, norms[0]), f"{attention}.qkv").chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv)
    weights = torch.zeros(())
    for left, right in ((q, q), (k, k)) if sclip else ((q, k),):
        scores = left @ right.mT / q.shape[-1] ** 0.5
        if text:
            scores += torch.full(scores.shape[-2:], -torch.inf).triu(1)
        weights = weights + scores.softmax(-1)
    mixed = (weights @ v).transpose(1, 2).flatten(2)
    x = x + scaled(linear(mixed, f"{attention}.proj"), "ls1")
    y = norm(x, norms[1])
    if text:
        return x + linear(F.gelu(linear(y, f"{mlp}.fc1")), f"{mlp}.fc2")
    return x + scaled(
        linear(F.silu(linear(y, f"{mlp}.w1")) * linear(y, f"{mlp}.w2"), f"{mlp}.w3"), "ls2"
    )


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_image_tower(
    model: DinoTxt, theirs: tuple[DINOv3ViTModel, dict[str, Tensor]], size: tuple[int, int]
) -> None:
    backbone, head = theirs
    tower, pixels = model.vision, noise(*size)
    expected = backbone(pixels, output_hidden_states=True)
    x = tower.embed(pixels)
    blocks = tower.blocks_for(tower.grid(pixels))
    assert_close(x, expected.hidden_states[0])
    x = blocks[0](x)
    assert_close(x, expected.hidden_states[1])
    x = blocks[1](x)
    assert_close(x, expected.last_hidden_state)  # closed by DINOv3's own norm
    y = expected.last_hidden_state
    for number, block in enumerate(blocks[2:]):
        x, y = block(x), literal_block(y, head, f"visual_model.head.blocks.{number}", HEADS)
        assert_close(x, y)
    name = "visual_model.head.ln_final"
    y = F.layer_norm(y, (WIDTH,), head[f"{name}.weight"], head[f"{name}.bias"])
    assert_close(tower.project(x), y)
    assert_close(tower(pixels), y[:, 5:].mean(dim=1))


@torch.no_grad()
def test_texts_keep_the_half_of_the_patches(
    model: DinoTxt, folder: Path, theirs: tuple[DINOv3ViTModel, dict[str, Tensor]]
) -> None:
    head = theirs[1]
    tokens = load_checkpoint(folder).tokenizer(["a photo of a cat", "dog"])
    name = "text_model.backbone"
    x = head[f"{name}.token_embedding.weight"][tokens]
    x = x + head[f"{name}.positional_embedding"][: tokens.shape[1]]
    for number in range(2):
        x = literal_block(x, head, f"{name}.blocks.{number}", 3)
    x = F.layer_norm(
        x, x.shape[-1:], head[f"{name}.ln_final.weight"], head[f"{name}.ln_final.bias"]
    )
    x = (
        x[torch.arange(2), tokens.argmax(dim=-1)]
        @ head["text_model.head.linear_projection.weight"].T
    )
    assert_close(model.text(tokens), x[:, WIDTH:])


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_every_method_with_every_technique(model: DinoTxt, method: str) -> None:
    pixels = noise(32, 48)
    she = SheSettings(heads=((1, 1), (3, 2)))
    encoded = [
        DenseEncoder(model, method=method, lht=lht)(pixels)
        for lht in (preset_by_depth(4).select(lht=on, she=on and she) for on in (False, True))
    ]
    for embeddings in encoded:
        assert embeddings.shape == (2, 4, 6, WIDTH)
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2, 4, 6))
    assert (encoded[0] - encoded[1]).abs().max() > 1e-3


@torch.no_grad()
def test_sclip_acts_in_both_blocks_of_the_head(
    model: DinoTxt, theirs: tuple[DINOv3ViTModel, dict[str, Tensor]]
) -> None:
    pixels, (backbone, head) = noise(32, 48), theirs
    x = backbone(pixels).last_hidden_state
    for number in range(2):
        x = literal_block(x, head, f"visual_model.head.blocks.{number}", HEADS, sclip=True)
    expected = F.normalize(model.vision.project(x[:, 5:]), dim=-1).unflatten(1, (4, 6))
    assert_close(DenseEncoder(model, method="sclip")(pixels), expected)


@torch.no_grad()
def test_its_own_last_block(model: DinoTxt) -> None:
    pixels, tower = noise(32, 48), model.vision
    x = tower.embed(pixels)
    for block in tower.blocks_for(tower.grid(pixels)):
        x = block(x)
    expected = F.normalize(tower.project(x[:, 5:]), dim=-1).unflatten(1, (4, 6))
    assert_close(DenseEncoder(model, method="clip")(pixels), expected)


def test_it_is_only_read(model: DinoTxt, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\(dino_txt\) cannot be saved"):
        save_checkpoint(model, tmp_path, dtype=torch.float32)


def test_both_files_are_needed(tmp_path: Path) -> None:
    save_dino_txt(tmp_path)
    (tmp_path / "dinov3_vitl16_pretrain.pth").unlink()
    with pytest.raises(CheckpointError, match=r"Missing: blocks\.\d"):
        load_checkpoint(tmp_path)


def test_a_tower_of_the_head_alone_is_refused(tmp_path: Path) -> None:
    save_dino_txt(tmp_path)
    change_config(tmp_path, lambda content: content["vision_config"].update(head_layers=4))
    with pytest.raises(CheckpointError, match=r"4 of 4 blocks .*head_layers"):
        load_checkpoint(tmp_path)


def test_parameters_of_the_published_files() -> None:
    """The published files are 1 213 050 671 and 2 253 936 683 bytes: float32 and some names."""
    with torch.device("meta"):
        model = DINO_TXT.build({"model_type": "dino_txt"})
    ours = sum(tensor.numel() for tensor in model.parameters())
    width, texts = 1024, 1280
    zeros = 24 * 3 * texts + 2 * 3 * width  # biases that the second file does not have
    unused = width * texts + width + 24 * 3 * width + 16  # half a projection, mask token, masks
    names = 1_213_050_671 + 2_253_936_683 - 4 * (ours - zeros + unused)
    assert 0 < names < 300_000
