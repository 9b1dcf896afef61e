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
from lhtclip.clip.config import CLIP_MEAN, CLIP_STD, PixelConfig
from lhtclip.errors import CheckpointError, CheckpointNotFoundError
from tests.checkpoints.spoil import (
    as_pickle,
    assert_ready_for_inference,
    change_config,
    change_weights,
)


@pytest.fixture(scope="module")
def original(
    tmp_path_factory: pytest.TempPathFactory, save_clip: Callable[..., torch.nn.Module]
) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    save_clip(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(original, tmp_path / "clip"))


def test_loaded_model_is_ready_for_inference(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    assert checkpoint.directory == folder
    assert_ready_for_inference(checkpoint.model)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_stored_and_wanted_dtype_are_independent(folder: Path, stored: torch.dtype) -> None:
    full = load_checkpoint(folder).model.state_dict()
    change_weights(
        folder, lambda tensors: tensors.update({k: t.to(stored) for k, t in tensors.items()})
    )
    for name, tensor in load_checkpoint(folder).model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, full[name].to(stored).float())
    half = load_checkpoint(folder, dtype=stored).model
    assert {parameter.dtype for parameter in half.parameters()} == {stored}


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_we_save_transformers_loads(folder: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    from transformers import CLIPModel

    model = load_checkpoint(folder).model
    written = tmp_path / "new" / "copy"
    save_checkpoint(model, written, dtype=dtype)
    assert {path.name for path in written.iterdir()} == {"config.json", "model.safetensors"}
    shutil.copy(folder / "tokenizer.json", written)

    again = load_checkpoint(written)
    assert again.model.config == model.config
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].to(dtype).float())

    theirs, report = CLIPModel.from_pretrained(written, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    theirs = theirs.float().eval()
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tokens = again.tokenizer(["a photo of a cat", "dog"])
    for ours, pooled, project in (
        (again.model.vision(pixels), theirs.vision_model(pixels), theirs.visual_projection),
        (again.model.text(tokens), theirs.text_model(tokens), theirs.text_projection),
    ):
        torch.testing.assert_close(ours, project(pooled.pooler_output), rtol=0, atol=1e-5)


def test_missing_tensors_are_named(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.pop("text_model.final_layer_norm.bias"))
    with pytest.raises(CheckpointError, match=r"Missing: text_model\.final_layer_norm\.bias\.$"):
        load_checkpoint(folder)


def test_many_missing_tensors_are_counted(folder: Path) -> None:
    change_config(folder, lambda content: content["vision_config"].update(num_hidden_layers=4))
    with pytest.raises(CheckpointError, match=r"Missing: vision_model\.encoder.* and 11 more\.$"):
        load_checkpoint(folder)


def test_extra_tensors_are_named(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update(adapter=torch.zeros(2)))
    with pytest.raises(CheckpointError, match=r"Not expected: adapter\.$"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("text_model.encoder.layers.1.self_attn.k_proj.weight", (24, 23), "(24, 24)"),
        ("vision_model.embeddings.patch_embedding.weight", (32, 1, 8, 8), "(32, 3, 8, 8)"),
        ("vision_model.embeddings.patch_embedding.weight", (32, 192), "(32, 3, 8, 8)"),
        ("visual_projection.weight", (32, 16), "(16, 32)"),
        ("logit_scale", (2,), "()"),
    ],
)
def test_misshapen_tensors_are_named(
    folder: Path, name: str, shape: tuple[int, ...], wanted: str
) -> None:
    change_weights(folder, lambda tensors: tensors.update({name: torch.zeros(shape)}))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert f"{name} has shape {shape}; its config.json asks for {wanted}." in str(error.value)


def test_position_ids_of_old_checkpoints_are_passed_over(folder: Path) -> None:
    old = {
        "text_model.embeddings.position_ids": torch.arange(20)[None],
        "vision_model.embeddings.position_ids": torch.arange(17)[None],
    }
    change_weights(folder, lambda tensors: tensors.update(old))
    load_checkpoint(folder)


@pytest.mark.parametrize("size", [0, 5, 100, 20_000])
def test_truncated_safetensors(folder: Path, size: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"^Cannot read .*model\.safetensors: .+ again\.$"):
        load_checkpoint(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights(folder: Path, zipped: bool) -> None:
    expected = load_checkpoint(folder)
    as_pickle(folder, _use_new_zipfile_serialization=zipped)
    found = load_checkpoint(folder)
    assert found.fingerprint == expected.fingerprint
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, expected.model.state_dict()[name])


def test_safetensors_come_first(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    load_checkpoint(folder)


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_refused(folder: Path, tmp_path: Path, zipped: bool) -> None:
    as_pickle(folder)
    target = tmp_path / "run"
    torch.save(
        {"logit_scale": Attack(target)},
        folder / "pytorch_model.bin",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(CheckpointError, match=r"bin is not loaded: .*Use model\.safetensors"):
        load_checkpoint(folder)
    assert not target.exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert target.exists()  # the attack is a real one


@pytest.mark.parametrize("content", [[1, 2], {}, {"logit_scale": 3.0}, torch.zeros(3)])
def test_pickle_of_something_else(folder: Path, content: Any) -> None:
    as_pickle(folder)
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="should hold tensors by name"):
        load_checkpoint(folder)


@pytest.mark.parametrize("size", [0, 3, 2000])
def test_truncated_pickle(folder: Path, size: int) -> None:
    as_pickle(folder)
    weights = folder / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin") as error:
        load_checkpoint(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "{", "no json", "\ufeff{}", "[1]", '"text"', "3", "null"])
def test_config_that_is_no_object(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vision_config": None}, "not describe a CLIP: its 'vision_config' is missing"),
        ({"text_config": [1]}, "its 'text_config' is not an object"),
        ({"text_config_dict": "x"}, "its 'text_config' is not an object"),
        ({"projection_dim": None}, "projection_dim should be a positive whole number, not None"),
        ({"projection_dim": 1.5}, "projection_dim should be a positive whole number, not 1.5"),
        ({"text_config": {"hidden_size": "wide"}}, "text_config.hidden_size should be a positive"),
        ({"text_config": {"hidden_size": -8}}, "text_config.hidden_size should be a positive"),
        ({"text_config": {"eos_token_id": [1, 2]}}, "text_config.eos_token_id should be"),
        ({"text_config": {"layer_norm_eps": None}}, "layer_norm_eps should be a positive number"),
        ({"vision_config": {"patch_size": [8, 8]}}, "vision_config.patch_size should be"),
        ({"vision_config": {"patch_size": 0}}, "vision_config.patch_size should be"),
        ({"vision_config": {"hidden_act": 1}}, "vision_config.hidden_act should be a name"),
        ({"vision_config": {"hidden_act": "swish"}}, "'swish'; known are quick_gelu, gelu"),
        ({"vision_config": {"hidden_size": 30, "num_attention_heads": 4}}, "cannot be divided"),
    ],
)
def test_malformed_config(folder: Path, change: dict[str, Any], message: str) -> None:
    change_config(folder, lambda content: content.update(change))
    with pytest.raises(CheckpointError, match=r"config\.json") as error:
        load_checkpoint(folder)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "config.json",
            r"has no config\.json or open_clip_config\.json\. It needs config\.json, model\.s",
        ),
        ("model.safetensors", r"has no model\.safetensors or pytorch_model\.bin"),
        ("tokenizer.json", r"has no tokenizer\.json"),
    ],
)
def test_missing_file(folder: Path, file: str, message: str) -> None:
    (folder / file).unlink()
    with pytest.raises(CheckpointNotFoundError, match=message):
        load_checkpoint(folder)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"There is no checkpoint folder .*nowhere"):
        load_checkpoint(tmp_path / "nowhere")


def test_tokenizer_of_another_model(folder: Path, tokenizers: dict[str, hf.Tokenizer]) -> None:
    tokenizers["second"].save(str(folder / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"token 1, but .* 522: .* do not belong together"):
        load_checkpoint(folder)
    # An old config names no end token to compare with.
    change_config(folder, lambda content: content["text_config"].update(eos_token_id=2))
    load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda tensors: tensors["text_projection.weight"].add_(1e-3), False),
        (lambda tensors: tensors["text_model.embeddings.token_embedding.weight"].mul_(2), False),
        (lambda tensors: tensors.update({k: t.bfloat16() for k, t in tensors.items()}), False),
        (lambda tensors: tensors["visual_projection.weight"].add_(1), True),
        (lambda tensors: tensors["logit_scale"].add_(1), True),
    ],
)
def test_fingerprint_covers_the_text_weights(
    folder: Path, change: Callable[[dict[str, Tensor]], object], same: bool
) -> None:
    before = load_checkpoint(folder).fingerprint
    change_weights(folder, change)
    assert (load_checkpoint(folder).fingerprint == before) == same


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda content: content["text_config"].update(hidden_act="gelu"), False),
        (lambda content: content["text_config"].update(num_attention_heads=2), False),
        (lambda content: content["text_config"].update(layer_norm_eps=1e-6), False),
        (lambda content: content["text_config"].update(eos_token_id=2), False),
        (lambda content: content["text_config"].update(attention_dropout=0.1), True),
        (lambda content: content["vision_config"].update(hidden_act="gelu"), True),
    ],
)
def test_fingerprint_covers_the_text_config(
    folder: Path, change: Callable[[dict[str, Any]], object], same: bool
) -> None:
    before = load_checkpoint(folder).fingerprint
    change_config(folder, change)
    assert (load_checkpoint(folder).fingerprint == before) == same


def test_fingerprint_covers_the_tokenizer(folder: Path) -> None:
    before = load_checkpoint(folder).fingerprint
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["normalizer"]["normalizers"].pop()  # upper case is no longer folded
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert load_checkpoint(folder).fingerprint != before


def test_fingerprint_does_not_depend_on_how_it_is_loaded(folder: Path, original: Path) -> None:
    found = {
        load_checkpoint(where, dtype=dtype).fingerprint
        for where in (folder, original)
        for dtype in (torch.float32, torch.bfloat16)
    }
    assert len(found) == 1
    assert len(found.pop()) == 64


def test_pixels_as_in_clip_unless_the_folder_says_otherwise(folder: Path) -> None:
    assert load_checkpoint(folder).pixels == PixelConfig(CLIP_MEAN, CLIP_STD)
    half = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": 224}
    (folder / "preprocessor_config.json").write_text(json.dumps(half))
    assert load_checkpoint(folder).pixels == PixelConfig((0.5,) * 3, (0.5,) * 3)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5, 0.5]}))
    with pytest.raises(CheckpointError, match=r"image_mean should be three numbers, not \[0\.5"):
        load_checkpoint(folder)
