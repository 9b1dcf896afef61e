"""Our MetaCLIP 2 against `transformers.MetaClip2Model` with the same random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import MetaClip2Model

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lhtclip.errors import CheckpointError
from tests.clip.metaclip2_models import TOKENIZER, build_mt5_tokenizer, save_metaclip2
from tests.clip.openai_clip import openai_names
from tests.clip.theirs import assert_close, assert_streams_close, features, noise

PROMPTS = ["a photo of a Katze", "собака", "一只猫", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metaclip2")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> MetaClip2Model:
    return save_metaclip2(folder)


@pytest.fixture(scope="module")
def ours(folder: Path, theirs: MetaClip2Model) -> Checkpoint:
    return load_checkpoint(folder)


@torch.no_grad()
def test_image_tower(ours: Checkpoint, theirs: MetaClip2Model) -> None:
    pixels, vision = noise(32, 32), ours.model.vision
    hidden = theirs.vision_model(pixel_values=pixels, output_hidden_states=True)
    assert_streams_close(vision, pixels, hidden, tolerance=1e-5)
    assert_close(vision(pixels), features(theirs.get_image_features(pixel_values=pixels)))


@torch.no_grad()
def test_text_tower(ours: Checkpoint, theirs: MetaClip2Model) -> None:
    """The end token is not the one with the largest id, nor is its id 2 CLIP's old mark."""
    tokens, text = ours.tokenizer(PROMPTS), ours.model.text
    assert set(tokens[:, -1].tolist()) == {2} != {int(tokens.max())}
    hidden = theirs.text_model(input_ids=tokens, output_hidden_states=True)
    assert_streams_close(text, tokens, hidden, tolerance=1e-5, causal=True)
    expected = features(theirs.get_text_features(input_ids=tokens))
    assert_close(text(tokens), expected)
    assert expected.std(dim=0).min() > 0.05  # no two languages are alike
    padded = torch.nn.functional.pad(tokens, (0, 30), value=1)  # with the pad of `transformers`
    assert_close(text(padded), expected)


@torch.no_grad()
def test_the_tokens_of_mt5(tmp_path: Path) -> None:
    """The variants with mT5's words: prompts have no start token and end with the token 1."""
    theirs = save_metaclip2(tmp_path, tokenizer=build_mt5_tokenizer(), end=1)
    ours = load_checkpoint(tmp_path)
    tokens = ours.tokenizer(PROMPTS)
    assert set(tokens[:, -1].tolist()) == {1}
    expected = features(theirs.get_text_features(input_ids=tokens))
    assert_close(ours.model.text(tokens), expected)
    assert expected.std(dim=0).min() > 0.05


@torch.no_grad()
def test_open_clip_layout(ours: Checkpoint, theirs: MetaClip2Model, tmp_path: Path) -> None:
    model = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16}
        | {"patch_size": 8},
        "text_cfg": {"hf_tokenizer_name": "facebook/xlm-v-base", "pool_type": "eos", "eos_id": 2}
        | {"context_length": 77, "vocab_size": TOKENIZER.get_vocab_size()}
        | {"width": 48, "heads": 3, "layers": 2},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    save_file(openai_names(theirs.state_dict()), tmp_path / "open_clip_model.safetensors")
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    other = load_checkpoint(tmp_path).model
    tokens, pixels = ours.tokenizer(PROMPTS), noise(32, 32)
    assert torch.equal(other.text(tokens), ours.model.text(tokens))
    assert torch.equal(other.vision(pixels), ours.model.vision(pixels))


def test_what_we_save_transformers_loads(folder: Path, ours: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(ours.model, tmp_path, dtype=torch.float32)
    shutil.copy(folder / "tokenizer.json", tmp_path)
    again = load_checkpoint(tmp_path)
    assert again.model.config == ours.model.config
    assert again.fingerprint == ours.fingerprint
    report: Any = MetaClip2Model.from_pretrained(tmp_path, output_loading_info=True)
    report = report[1]
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_the_tokenizer_of_another_model(folder: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    content = json.loads((changed / "config.json").read_text())
    content["text_config"]["eos_token_id"] = 7
    (changed / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"ends prompts with token 2, but .* token 7"):
        load_checkpoint(changed)
