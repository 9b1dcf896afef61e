"""Chinese-CLIP and BiomedCLIP against `transformers` with the same random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertTokenizer as TheirTokenizer

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.clip.bert.biomed import BiomedConfig, build_biomed
from lhtclip.clip.bert.text import PADDING
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import CheckpointError
from lhtclip.methods import METHODS
from lhtclip.techniques.presets import preset_by_depth
from lhtclip.techniques.she import SheSettings
from lhtclip.text.languages import is_english
from tests.clip.bert_models import DIM, WORDS, save_biomed, save_chinese
from tests.clip.theirs import assert_close, assert_streams_close, features, noise

PROMPTS = ["A photo of cats", "猫", "一人 xyz", ""]


def save(kind: str, folder: Path) -> Any:
    return {"chinese": save_chinese, "biomed": save_biomed}[kind](folder)


def hidden_states(model: Any, tokens: Tensor) -> Any:
    return model(input_ids=tokens, attention_mask=tokens != PADDING, output_hidden_states=True)


@torch.no_grad()
def test_chinese_clip(tmp_path: Path) -> None:
    theirs, ours = save("chinese", tmp_path), load_checkpoint(tmp_path)
    pixels, tokens = noise(32, 32), ours.tokenizer(PROMPTS)
    seen = theirs.vision_model(pixel_values=pixels, output_hidden_states=True)
    assert_streams_close(ours.model.vision, pixels, seen, tolerance=1e-5)
    assert_close(
        ours.model.vision(pixels), features(theirs.get_image_features(pixel_values=pixels))
    )
    compare_text(ours.model.text, tokens, hidden_states(theirs.text_model, tokens))
    expected = theirs.get_text_features(input_ids=tokens, attention_mask=tokens != PADDING)
    assert_close(ours.model.text(tokens), features(expected))


@torch.no_grad()
def test_biomed_clip(tmp_path: Path) -> None:
    theirs, ours = save("biomed", tmp_path), load_checkpoint(tmp_path)
    pixels, tokens = noise(32, 32), ours.tokenizer(PROMPTS)
    seen = theirs.vision(pixels, output_hidden_states=True)
    x = assert_streams_close(ours.model.vision, pixels, seen, tolerance=1e-5)
    patches = theirs.visual_projection(seen.last_hidden_state)
    assert_close(ours.model.vision.project(x), patches)
    assert_close(ours.model.vision(pixels), patches[:, 0])
    read = hidden_states(theirs.text, tokens)
    compare_text(ours.model.text, tokens, read)
    assert_close(ours.model.text(tokens), theirs.proj(read.last_hidden_state[:, 0]))


def compare_text(tower: Any, tokens: Tensor, theirs: Any) -> None:
    """Compare the residual stream before and after each block, at the words."""
    x, words = tower.embed(tokens), tokens != PADDING
    assert_close(x, theirs.hidden_states[0])
    bias = torch.zeros(tokens.shape).masked_fill(~words, torch.finfo().min)[:, None, None]
    for block, expected in zip(tower.blocks, theirs.hidden_states[1:], strict=True):
        x = block(x, bias=bias)
        assert_close(x[words], expected[words])
    padded = torch.nn.functional.pad(tokens, (0, 5), value=PADDING)
    assert_close(tower(padded), tower(tokens))


def test_words_are_split_as_by_transformers(tmp_path: Path) -> None:
    save("chinese", tmp_path)
    theirs = TheirTokenizer(str(tmp_path / "vocab.txt"))
    ours = load_checkpoint(tmp_path).tokenizer
    for prompt in (*PROMPTS, "a photo of a Dog, CATS!", "é 人猫"):
        assert ours.encode([prompt])[0] == theirs(prompt)["input_ids"]
    assert ours.beyond("cat " * 50) != ""
    assert not is_english(ours)  # no warning about class names in Chinese


@pytest.mark.parametrize("kind", ["chinese", "biomed"])
@torch.no_grad()
def test_every_method_with_every_technique(tmp_path: Path, kind: str) -> None:
    save(kind, tmp_path)
    model, pixels = load_checkpoint(tmp_path).model, noise(32, 48)
    lht = preset_by_depth(5).select(lht=True, she=SheSettings(heads=((2, 1), (3, 4), (3, 2))))
    for method in METHODS:
        plain = DenseEncoder(model, method=method)(pixels)
        changed = DenseEncoder(model, method=method, lht=lht)(pixels)
        assert plain.shape == changed.shape == (2, 4, 6, DIM)
        assert plain.isfinite().all()
        assert (plain - changed).abs().max() > 1e-2


def test_tokenizer_of_another_model(tmp_path: Path) -> None:
    save("chinese", tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join([*WORDS, "more"]), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokens up to 13, .* knows 13: .* belong together"):
        load_checkpoint(tmp_path)


def published() -> dict[str, Any]:
    """Return the configuration of BiomedCLIP on the hub."""
    bert = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
    vision = {"timm_model_name": "vit_base_patch16_224", "timm_model_pretrained": False}
    text = {"hf_model_name": bert, "hf_tokenizer_name": bert, "context_length": 256}
    return {
        "embed_dim": 512,
        "vision_cfg": vision | {"timm_pool": "", "timm_proj": "linear", "image_size": 224},
        "text_cfg": text
        | {"hf_proj_type": "mlp", "hf_pooler_type": "cls_last_hidden_state_pooler"},
    }


def test_published_biomed_clip() -> None:
    config = BiomedConfig.from_json({"model_cfg": published()})
    assert BiomedConfig.from_json(config.to_json()) == config
    with torch.device("meta"):
        model = build_biomed({"model_cfg": published()})
    counts = [
        sum(parameter.numel() for parameter in tower.parameters())
        for tower in (model.vision, model.text)
    ]
    assert counts == [
        85_798_656 + 512 * 768,  # a ViT-B/16 without a head, and the projection
        108_891_648 + 768 * 640 + 640 * 512,  # a BERT without a pooler, and the MLP
    ]


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("vision_cfg", {"timm_proj": "mlp"}, r"vision_cfg\.timm_proj is 'mlp'"),
        ("text_cfg", {"hf_proj_type": "linear"}, "hf_proj_type is 'linear'"),
        ("text_cfg", {"hf_model_name": "roberta"}, r"'roberta'.*BiomedBERT"),
        ("text_cfg", {"context_length": 1000}, "context_length is 1000"),
        ("", {"embed_dim": "wide"}, "embed_dim is 'wide'"),
    ],
)
def test_what_is_not_a_biomed_clip(section: str, change: dict[str, Any], message: str) -> None:
    content = published()
    (content[section] if section else content).update(change)
    with pytest.raises(CheckpointError, match=message):
        BiomedConfig.from_json({"model_cfg": content})
