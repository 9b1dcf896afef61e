from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers as hf
import torch
from torch import Tensor

from lhtclip.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lhtclip.clip.config import PixelConfig
from lhtclip.clip.siglip.config import SiglipConfig
from lhtclip.clip.siglip.model import Siglip
from lhtclip.errors import CheckpointError
from tests.checkpoints.spoil import (
    as_pickle,
    assert_ready_for_inference,
    change_config,
    change_weights,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, save_siglip: Callable[..., Any]) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    save_siglip(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(original, tmp_path / "siglip"))


def test_loaded_model_is_ready_for_inference(folder: Path) -> None:
    assert_ready_for_inference(load_checkpoint(folder).model)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_we_save_transformers_loads(folder: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    from transformers import SiglipModel

    model = load_checkpoint(folder).model
    written = tmp_path / "copy"
    save_checkpoint(model, written, dtype=dtype)
    shutil.copy(folder / "tokenizer.json", written)

    again = load_checkpoint(written)
    assert again.model.config == model.config
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].to(dtype).float())

    theirs, report = SiglipModel.from_pretrained(written, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    theirs = theirs.float().eval()
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tokens = again.tokenizer(["a photo of a cat", "dog"])
    for ours, pooled in (
        (again.model.vision(pixels), theirs.vision_model(pixels).pooler_output),
        (again.model.text(tokens), theirs.text_model(tokens).pooler_output),
    ):
        torch.testing.assert_close(ours, pooled, rtol=0, atol=1e-5)


def test_pickled_weights(folder: Path) -> None:
    expected = load_checkpoint(folder)
    as_pickle(folder)
    found = load_checkpoint(folder)
    assert found.fingerprint == expected.fingerprint
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, expected.model.state_dict()[name])


@pytest.mark.parametrize("name", ["vision_model.head.probe", "logit_bias", "text_model.head.bias"])
def test_missing_tensors_are_named(folder: Path, name: str) -> None:
    change_weights(folder, lambda tensors: tensors.pop(name))
    with pytest.raises(CheckpointError, match=rf"Missing: {name}\.$"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("vision_model.head.attention.in_proj_weight", (32, 32), "(96, 32)"),
        ("vision_model.head.probe", (1, 32), "(1, 1, 32)"),
        ("vision_model.embeddings.position_embedding.weight", (17, 32), "(16, 32)"),
        ("text_model.encoder.layers.0.self_attn.v_proj.bias", (96,), "(32,)"),
        ("logit_bias", (), "(1,)"),
    ],
)
def test_misshapen_tensors_are_named(
    folder: Path, name: str, shape: tuple[int, ...], wanted: str
) -> None:
    change_weights(folder, lambda tensors: tensors.update({name: torch.zeros(shape)}))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert f"{name} has shape {shape}; its config.json asks for {wanted}." in str(error.value)


def test_not_taken_for_a_clip(folder: Path) -> None:
    change_config(folder, lambda content: content.update(model_type="clip"))
    change_config(folder, lambda content: content["text_config"].update(eos_token_id=1))
    with pytest.raises(CheckpointError, match=r"Missing: text_projection\.weight, vision_model"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "siglip2"}, "SigLIP 2 of variable resolution (NaFlex)"),
        ({"model_type": "blip-2"}, "a model of type 'blip-2'. Known types: "),
        ({"model_type": ["siglip"]}, "Known types: "),
        ({"vision_config": None}, "its 'vision_config' is missing"),
        ({"text_config": [1]}, "its 'text_config' is not an object"),
        ({"vision_config": {"vision_use_head": False}}, "without a pooling head"),
        ({"text_config": {"hidden_act": "swish", "projection_size": 32}}, "'swish'; known are"),
        ({"text_config": {"projection_size": 640}}, "text features of width 640"),
        ({"text_config": {"hidden_size": 48}}, "text features of width 48"),
        ({"text_config": {"vocab_size": 0}}, "text_config.vocab_size should be a positive whole"),
    ],
)
def test_config_that_cannot_be_used(folder: Path, change: dict[str, Any], message: str) -> None:
    change_config(folder, lambda content: content.update(change))
    with pytest.raises(CheckpointError, match=r"config\.json") as error:
        load_checkpoint(folder)
    assert message in str(error.value)


def test_tokenizer_with_too_many_tokens(
    folder: Path, siglip_tokenizers: dict[str, hf.Tokenizer]
) -> None:
    """SigLIP 2's tokenizer in a folder of SigLIP's."""
    siglip_tokenizers["siglip2"].save(str(folder / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"tokens, but the model .* do not belong together"):
        load_checkpoint(folder)


def test_tokenizer_of_clip(folder: Path, tokenizers: dict[str, hf.Tokenizer]) -> None:
    tokenizers["last"].save(str(folder / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="SigLIP's end them with"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda tensors: tensors["text_model.head.bias"].add_(1e-3), False),
        (lambda tensors: tensors["text_model.embeddings.position_embedding.weight"].mul_(2), False),
        (lambda tensors: tensors["vision_model.head.probe"].add_(1), True),
        (lambda tensors: tensors["logit_bias"].add_(1), True),
    ],
)
def test_fingerprint_covers_the_text_weights(
    folder: Path, change: Callable[[dict[str, Tensor]], object], same: bool
) -> None:
    before = load_checkpoint(folder).fingerprint
    change_weights(folder, change)
    assert (load_checkpoint(folder).fingerprint == before) == same


def test_fingerprint_covers_text_config_and_tokenizer(folder: Path) -> None:
    found = [load_checkpoint(folder).fingerprint]
    change_config(folder, lambda content: content["text_config"].update(layer_norm_eps=1e-3))
    found.append(load_checkpoint(folder).fingerprint)
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    found.append(load_checkpoint(folder).fingerprint)
    assert len(set(found)) == 3


def test_pixels_between_minus_1_and_1_unless_the_folder_says_otherwise(folder: Path) -> None:
    assert load_checkpoint(folder).pixels == PixelConfig((0.5,) * 3, (0.5,) * 3)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3]}))
    assert load_checkpoint(folder).pixels == PixelConfig((0.1, 0.2, 0.3), (0.5,) * 3)


def test_a_fresh_model_starts_where_the_paper_does(folder: Path) -> None:
    """t' = ln 10 and b = -10 (arXiv 2303.15343 §3.2)."""
    config = load_checkpoint(folder).model.config
    assert isinstance(config, SiglipConfig)
    fresh = Siglip(config)
    assert fresh.logit_scale.exp().item() == pytest.approx(10)
    assert fresh.logit_bias.item() == -10
