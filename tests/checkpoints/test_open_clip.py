"""Checkpoints in OpenCLIP's layout, made from random models of `transformers`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tokenizers as hf
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.checkpoints.state_dict import scatter
from lhtclip.clip.config import CLIP_MEAN, CLIP_STD, PixelConfig
from lhtclip.clip.open_clip import OPEN_CLIP_TENSORS, clip_config
from lhtclip.errors import CheckpointError, CheckpointNotFoundError
from tests.checkpoints import spoil
from tests.clip.openai_clip import openai_names

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
PICKLED = "open_clip_pytorch_model.bin"

change_weights = partial(spoil.change_weights, file=WEIGHTS)
as_pickle = partial(spoil.as_pickle, file=WEIGHTS, pickled=PICKLED)

SHAPE: dict[str, Any] = {
    "projection_dim": 16,
    "vision_config": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    },
    "text_config": {
        "hidden_size": 24,
        "intermediate_size": 60,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 20,
    },
}
MODEL_CFG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 3,
        "width": 32,
        "patch_size": 8,
        "head_width": 8,
        "mlp_ratio": 2.0,
    },
    "text_cfg": {
        "context_length": 20,
        "vocab_size": 523,
        "width": 24,
        "heads": 3,
        "layers": 2,
        "mlp_ratio": 2.5,
    },
}


Save = Callable[..., CLIPModel]


@pytest.fixture(scope="module")
def save_open_clip(
    save_clip: Callable[..., CLIPModel], tmp_path_factory: pytest.TempPathFactory
) -> Save:
    """Return a function that saves a random model in OpenCLIP's layout, and returns it."""

    def save(folder: Path, *, activation: str = "gelu") -> CLIPModel:
        other = tmp_path_factory.mktemp("transformers")
        vision = SHAPE["vision_config"] | {"hidden_act": activation}
        model = save_clip(other, SHAPE | {"vision_config": vision}, hidden_act=activation)
        folder.mkdir(exist_ok=True)
        save_file(openai_names(model.state_dict()), folder / WEIGHTS)
        quick = {"quick_gelu": True} if activation == "quick_gelu" else {}
        (folder / CONFIG).write_text(json.dumps({"model_cfg": MODEL_CFG | quick}))
        shutil.copy(other / "tokenizer.json", folder)
        return model

    return save


@pytest.fixture(scope="module")
def original(save_open_clip: Save, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open_clip")
    save_open_clip(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(original, tmp_path / "clip"))


def change_config(folder: Path, where: str, **changes: Any) -> None:
    """Change keys of "model_cfg", of one of its sections, or of "preprocess_cfg"."""
    content = json.loads((folder / CONFIG).read_text())
    parent = content if where in ("model_cfg", "preprocess_cfg") else content["model_cfg"]
    parent[where] = parent.get(where, {}) | changes
    (folder / CONFIG).write_text(json.dumps(content))


@torch.no_grad()
@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_features_are_those_of_transformers(
    tmp_path: Path, save_open_clip: Save, activation: str, pickled: bool
) -> None:
    theirs = save_open_clip(tmp_path / "clip", activation=activation)
    if pickled:
        as_pickle(tmp_path / "clip")
    ours = load_checkpoint(tmp_path / "clip")
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tokens = ours.tokenizer(["a photo of a cat", "dog", "the cat of a dog, of 2"])
    for found, pooled, project in (
        (ours.model.vision(pixels), theirs.vision_model(pixels), theirs.visual_projection),
        (ours.model.text(tokens), theirs.text_model(tokens), theirs.text_projection),
    ):
        torch.testing.assert_close(found, project(pooled.pooler_output), rtol=0, atol=1e-5)
    assert ours.model.logit_scale == theirs.logit_scale
    assert all(parameter.is_contiguous() for parameter in ours.model.parameters())


def test_the_way_back(original: Path) -> None:
    stored = load_file(original / WEIGHTS)
    written = scatter(load_checkpoint(original).model, OPEN_CLIP_TENSORS)
    assert written.keys() == stored.keys()
    for name, tensor in written.items():
        assert torch.equal(tensor, stored[name])


def test_a_config_of_transformers_comes_first(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"^config\.json does not describe a CLIP"):
        load_checkpoint(folder)


def test_published_shapes() -> None:
    sections = {
        "vision_cfg": {
            "image_size": 224,
            "layers": 48,
            "width": 1664,
            "head_width": 104,
            "mlp_ratio": 4.9231,
            "patch_size": 14,
        },
        "text_cfg": {"width": 1280, "heads": 20, "layers": 32},
    }
    large = clip_config({"model_cfg": {"embed_dim": 1280, **sections}})
    assert large.projection_dim == 1280
    assert large.vision.num_attention_heads == 16
    assert large.vision.intermediate_size == 8192
    assert large.text.intermediate_size == 5120
    assert large.text.eos_token_id == 49407
    sections = {"vision_cfg": {"patch_size": 16}, "text_cfg": {}}  # the rest: default values
    base = clip_config({"model_cfg": {"embed_dim": 512, **sections}})
    assert (base.vision.hidden_size, base.vision.num_attention_heads) == (768, 12)
    assert (base.text.hidden_size, base.text.max_position_embeddings) == (512, 77)
    assert base.text.hidden_act == base.vision.hidden_act == "gelu"
    assert base.text.layer_norm_eps == base.vision.layer_norm_eps == 1e-5


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model_cfg", "custom_text", True),
        ("model_cfg", "init_logit_bias", -10),
        ("model_cfg", "multimodal_cfg", {"layers": 12}),
        ("model_cfg", "audio_cfg", None),
        ("vision_cfg", "layers", [3, 4, 6, 3]),
        ("vision_cfg", "timm_model_name", "convnext_base"),
        ("vision_cfg", "attentional_pool", True),
        ("vision_cfg", "pool_type", "avg"),
        ("vision_cfg", "pool_type", None),
        ("vision_cfg", "final_ln_after_pool", True),
        ("vision_cfg", "no_ln_pre", True),
        ("vision_cfg", "ls_init_value", 1e-5),
        ("vision_cfg", "pos_embed_type", "sin_cos_2d"),
        ("vision_cfg", "global_average_pool", True),
        ("vision_cfg", "input_patchnorm", True),
        ("vision_cfg", "act_kwargs", {"approximate": "tanh"}),
        ("vision_cfg", "norm_kwargs", {"eps": 1e-6}),
        ("vision_cfg", "of_the_future", False),
        ("text_cfg", "hf_model_name", "xlm-roberta-base"),
        ("text_cfg", "pool_type", "last"),
        ("text_cfg", "final_ln_after_pool", True),
        ("text_cfg", "embed_cls", True),
        ("text_cfg", "no_causal_mask", True),
        ("text_cfg", "ls_init_value", 1e-5),
        ("text_cfg", "proj_type", "none"),
        ("text_cfg", "proj_bias", True),
        ("text_cfg", "act_kwargs", {"approximate": "tanh"}),
        ("text_cfg", "norm_kwargs", {"eps": 1e-6}),
        ("text_cfg", "tokenizer_kwargs", {"clean": "canonicalize"}),
        ("text_cfg", "of_the_future", 0),
    ],
)
def test_what_is_not_implemented(folder: Path, section: str, key: str, value: Any) -> None:
    change_config(folder, section, **{key: value})
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert str(error.value).startswith(
        f"open_clip_config.json: {section}.{key} is {value!r}, which is not implemented; "
    )


def test_what_changes_nothing(folder: Path, original: Path) -> None:
    change_config(folder, "model_cfg", custom_text=False, init_logit_bias=None, output_dict=True)
    change_config(folder, "vision_cfg", patch_dropout=0.5, timm_model_name="", timm_drop=0.1)
    change_config(folder, "vision_cfg", attentional_pool=False, attn_pooler_heads=8, no_ln_pre=0)
    change_config(folder, "vision_cfg", pool_type="tok", norm_kwargs={}, act_kwargs=None)
    change_config(folder, "text_cfg", hf_tokenizer_name="me/model", pool_type="argmax", pad_id=0)
    change_config(folder, "preprocess_cfg", size=32, resize_mode="squash")
    change_weights(
        folder, lambda tensors: tensors.update(attn_mask=torch.zeros(20, 20)), file=WEIGHTS
    )
    change_weights(
        folder, lambda tensors: tensors.update(input_resolution=torch.tensor(32)), file=WEIGHTS
    )
    found, expected = load_checkpoint(folder), load_checkpoint(original)
    assert found.fingerprint == expected.fingerprint
    assert found.model.config == expected.model.config


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        (
            "model_cfg",
            {"vision_cfg": None},
            " does not describe a CLIP: its 'vision_cfg' is missing.",
        ),
        (
            "model_cfg",
            {"text_cfg": 3},
            " does not describe a CLIP: its 'text_cfg' is not an object.",
        ),
        ("model_cfg", {"embed_dim": None}, ": model_cfg.embed_dim should be a positive whole"),
        ("model_cfg", {"quick_gelu": 1}, ": model_cfg.quick_gelu should be true or false, not 1."),
        ("vision_cfg", {"image_size": [32, 32]}, ": vision_cfg.image_size should be a positive"),
        ("vision_cfg", {"patch_size": None}, ": vision_cfg.patch_size should be a positive"),
        ("vision_cfg", {"layers": True}, ": vision_cfg.layers should be a positive whole number"),
        ("vision_cfg", {"mlp_ratio": "4"}, ": vision_cfg.mlp_ratio should be a positive number"),
        ("vision_cfg", {"head_width": 0}, ": vision_cfg.head_width should be a positive"),
        ("vision_cfg", {"head_width": 7}, ".width 32 cannot be divided by vision_cfg.head_width 7"),
        ("text_cfg", {"heads": 5}, ": text_cfg.width 24 cannot be divided by text_cfg.heads 5."),
        ("preprocess_cfg", {"mean": [0.5]}, ": preprocess_cfg.mean should be three numbers, not"),
        ("preprocess_cfg", {"std": 0.5}, ": preprocess_cfg.std should be three numbers, not 0.5."),
    ],
)
def test_malformed_config(
    folder: Path, section: str, changes: dict[str, Any], message: str
) -> None:
    change_config(folder, section, **changes)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert str(error.value).startswith("open_clip_config.json")
    assert message in str(error.value)


@pytest.mark.parametrize("content", [{}, {"model_cfg": None}, MODEL_CFG])
def test_config_without_a_model(folder: Path, content: dict[str, Any]) -> None:
    (folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"^open_clip_config\.json .*'model_cfg' is missing"):
        load_checkpoint(folder)


def test_a_missing_number_is_no_zero(folder: Path) -> None:
    without = {key: value for key, value in MODEL_CFG.items() if key != "embed_dim"}
    (folder / CONFIG).write_text(json.dumps({"model_cfg": without}))
    with pytest.raises(CheckpointError, match=r"embed_dim should be .* number, not None\."):
        load_checkpoint(folder)


def test_pixels(folder: Path) -> None:
    assert load_checkpoint(folder).pixels == PixelConfig(CLIP_MEAN, CLIP_STD)
    change_config(folder, "preprocess_cfg", mean=[0.5, 0.5, 0.5], std=[0.5, 1, 0.5])
    # Not the file of the other layout.
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0, 0, 0]}))
    assert load_checkpoint(folder).pixels == PixelConfig((0.5,) * 3, (0.5, 1.0, 0.5))


@pytest.mark.parametrize("name", ["visual.proj", "transformer.resblocks.1.attn.in_proj_bias"])
def test_missing_tensors_are_named(folder: Path, name: str) -> None:
    change_weights(folder, lambda tensors: tensors.pop(name))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert str(error.value) == (
        "The checkpoint's tensors are not those that its open_clip_config.json describes. "
        f"Missing: {name}."
    )


def test_extra_tensors_are_named(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update(logit_bias=torch.zeros(())))
    with pytest.raises(CheckpointError, match=r"Not expected: logit_bias\.$"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("visual.proj", (16, 32), "(32, 16)"),
        ("text_projection", (24,), "(24, 16)"),
        ("visual.conv1.weight", (32, 192), "(32, 3, 8, 8)"),
        ("visual.positional_embedding", (16, 32), "(17, 32)"),
        ("visual.transformer.resblocks.2.attn.in_proj_weight", (32, 32), "(96, 32)"),
        ("transformer.resblocks.0.mlp.c_fc.bias", (96,), "(60,)"),
        ("logit_scale", (2,), "()"),
    ],
)
def test_misshapen_tensors_are_named(
    folder: Path, name: str, shape: tuple[int, ...], wanted: str
) -> None:
    change_weights(folder, lambda tensors: tensors.update({name: torch.zeros(shape)}))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert str(error.value) == (
        f"The checkpoint's tensor {name} has shape {shape}; "
        f"its open_clip_config.json asks for {wanted}."
    )


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (CONFIG, "no config.json or open_clip_config.json. It needs config.json, model.safe"),
        (WEIGHTS, "no open_clip_model.safetensors or open_clip_pytorch_model.bin. It needs op"),
        ("tokenizer.json", "no tokenizer.json. It needs open_clip_config.json, open_clip_mode"),
    ],
)
def test_missing_file(folder: Path, file: str, message: str) -> None:
    (folder / file).unlink()
    with pytest.raises(CheckpointNotFoundError) as error:
        load_checkpoint(folder)
    assert f"has {message}" in str(error.value)


def test_pickled_code_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({"logit_scale": Path("x")}, folder / PICKLED)
    with pytest.raises(CheckpointError, match=r"run code\. Use open_clip_model\.safetensors in"):
        load_checkpoint(folder)


def test_tokenizer_of_another_model(folder: Path, tokenizers: dict[str, hf.Tokenizer]) -> None:
    tokenizers["second"].save(str(folder / "tokenizer.json"))
    with pytest.raises(
        CheckpointError, match=r"token 1, but open_clip_config\.json .* 522: .* belong together"
    ):
        load_checkpoint(folder)
