"""Our TIPSv2 against `transformers.Tipsv2Model` with the same random weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Tipsv2Config, Tipsv2Model

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lhtclip.checkpoints.state_dict import scatter
from lhtclip.clip.layers import Attention
from lhtclip.clip.tips import TIPS
from lhtclip.clip.tips.config import TipsConfig
from lhtclip.clip.tips.model import Tips
from lhtclip.clip.tips.names import PUBLISHED, TRANSFORMERS_TIPS
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import CheckpointError
from lhtclip.methods import METHODS
from lhtclip.techniques.presets import preset_by_depth
from lhtclip.techniques.she import SheSettings
from tests.checkpoints.spoil import assert_ready_for_inference, change_config, change_weights
from tests.clip.theirs import assert_close, assert_streams_close, noise
from tests.clip.tips_models import TINY, save_tips, tokenizer_like_theirs

PROMPTS = ["A photo of a Cat.", "dog", "naïve 車 🚗", "cat, dog " * 12]
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "swiglu": {"use_swiglu_ffn": True},
    "three registers": {"num_register_tokens": 3},
}


@dataclass(frozen=True)
class Pair:
    theirs: Tipsv2Model
    ours: Checkpoint

    @property
    def model(self) -> Tips:
        assert isinstance(self.ours.model, Tips)
        return self.ours.model


@pytest.fixture(scope="module", params=SHAPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("tips")
    return Pair(save_tips(folder, **SHAPES[request.param]), load_checkpoint(folder))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("tips")
    return Pair(save_tips(folder), load_checkpoint(folder))


def padded(tokens: Tensor, length: int = 20) -> dict[str, Tensor]:
    """Padding and mask as TIPSv2's own processor makes them."""
    whole = F.pad(tokens, (0, length - tokens.shape[1]))
    return {"input_ids": whole, "attention_mask": (whole != 0).long()}


# (32, 32) is the trained grid; others take resized positions
@pytest.mark.parametrize("size", [(32, 32), (40, 64), (16, 24)])
@torch.no_grad()
def test_image_tower(pair: Pair, size: tuple[int, int]) -> None:
    tower, pixels = pair.model.vision, noise(*size)
    theirs = pair.theirs.vision_model(pixel_values=pixels, output_hidden_states=True)
    x = assert_streams_close(tower, pixels, theirs, tolerance=1e-5)
    assert_close(tower.project(x), theirs.last_hidden_state)
    assert_close(tower(pixels), theirs.pooler_output)
    assert tower.class_tokens == x.shape[1] - size[0] * size[1] // 64


@torch.no_grad()
def test_text_tower(pair: Pair) -> None:
    tower, tokens = pair.model.text, pair.ours.tokenizer(PROMPTS)
    given = padded(tokens)
    theirs = pair.theirs.text_model(**given, output_hidden_states=True)
    x = tower.embed(given["input_ids"])
    assert_close(x, theirs.hidden_states[0])
    x = tower.contextualise(given["input_ids"])
    assert_close(tower.get_submodule("final_norm")(x), theirs.last_hidden_state)
    assert_close(tower(given["input_ids"]), theirs.pooler_output)
    assert_close(tower(tokens), theirs.pooler_output)  # however long the padding


@torch.no_grad()
def test_logits(plain: Pair) -> None:
    pixels, tokens = noise(32, 32), plain.ours.tokenizer(PROMPTS)
    expected = plain.theirs(pixel_values=pixels, **padded(tokens)).logits_per_image
    images, texts = plain.model.vision(pixels), plain.model.text(tokens)
    cosines = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
    assert_close(cosines * torch.tensor(plain.model.logit_scale).exp(), expected, tolerance=1e-4)
    assert expected.std() > 1


@torch.no_grad()
def test_float64_leaves_no_room_for_another_formula(tmp_path: Path) -> None:
    theirs = save_tips(tmp_path).double()
    model = load_checkpoint(tmp_path, dtype=torch.float64).model
    pixels = noise(32, 32).double()
    expected = theirs.vision_model(pixel_values=pixels)
    assert_close(model.vision(pixels), expected.pooler_output, tolerance=1e-12)


@pytest.mark.parametrize("length", [20, 64])
def test_tokens_as_in_transformers(tmp_path: Path, plain: Pair, length: int) -> None:
    theirs = tokenizer_like_theirs()(
        PROMPTS, padding="max_length", truncation=True, max_length=20, return_tensors="pt"
    )
    found = plain.ours.tokenizer(PROMPTS)
    assert torch.equal(padded(found)["input_ids"], theirs["input_ids"])
    assert torch.equal(padded(found)["attention_mask"], theirs["attention_mask"])
    assert plain.ours.tokenizer.beyond("cat, dog " * 12)
    assert not plain.ours.tokenizer.beyond("CAT")


def test_levels_are_not_normalised(plain: Pair) -> None:
    assert (plain.ours.pixels.mean, plain.ours.pixels.std) == ((0.0,) * 3, (1.0,) * 3)


@torch.no_grad()
def test_maskclip_is_the_dense_read_out_of_its_authors(plain: Pair) -> None:
    """Values of the last block through LayerScale, residual connection, MLP and final norm."""
    tower, pixels = cast("Any", plain.theirs.vision_model), noise(32, 32)
    x = tower(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
    layer = tower.encoder.layer[-1]
    values = layer.attention.o_proj(layer.attention.v_proj(layer.norm1(x)))
    x = x + layer.layer_scale1(values)
    x = x + layer.layer_scale2(layer.mlp(layer.norm2(x)))
    expected = F.normalize(tower.layernorm(x)[:, 2:], dim=-1).unflatten(1, (4, 4))
    assert_close(DenseEncoder(plain.model, method="maskclip")(pixels), expected)


@torch.no_grad()
def test_contributions_of_heads_are_after_layer_scale(plain: Pair) -> None:
    block, x = plain.model.vision.blocks[1], plain.model.vision.embed(noise(32, 32))
    attention = block.attention
    assert isinstance(attention, Attention)
    outputs = attention.head_outputs(block.norm1(x))
    total = attention.contributions(outputs, range(attention.heads)).sum(dim=1)
    assert attention.gain is not None
    bias = attention.out_projection.bias * attention.gain
    assert_close(total + bias, attention(block.norm1(x)))


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_every_method_with_every_technique(plain: Pair, method: str) -> None:
    pixels = noise(32, 48)
    she = SheSettings(heads=((1, 1), (2, 3)))
    encoded = [
        DenseEncoder(plain.model, method=method, lht=lht)(pixels)
        for lht in (preset_by_depth(3).select(lht=on, she=on and she) for on in (False, True))
    ]
    for embeddings in encoded:
        assert embeddings.shape == (2, 4, 6, 32)
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2, 4, 6))
    assert (encoded[0] - encoded[1]).abs().max() > 1e-3


# Files


def test_loaded_model_is_ready_for_inference(plain: Pair) -> None:
    assert_ready_for_inference(plain.model)


@pytest.mark.parametrize("names", [PUBLISHED, TRANSFORMERS_TIPS])
@pytest.mark.parametrize("gated", [False, True])
def test_tensors_by_any_of_their_names(tmp_path: Path, names: Any, gated: bool) -> None:
    save_tips(tmp_path, use_swiglu_ffn=gated)
    expected = load_checkpoint(tmp_path).model.state_dict()
    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    save_file(scatter(load_checkpoint(tmp_path).model, names), file)
    assert stored.keys() != load_file(file).keys()
    found = load_checkpoint(tmp_path).model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@torch.no_grad()
@pytest.mark.parametrize("gated", [False, True])
def test_what_we_save_transformers_loads(tmp_path: Path, gated: bool) -> None:
    save_tips(tmp_path, use_swiglu_ffn=gated)
    ours = load_checkpoint(tmp_path).model
    save_checkpoint(ours, tmp_path / "copy", dtype=torch.float32)
    loaded: Any = Tipsv2Model.from_pretrained(tmp_path / "copy", output_loading_info=True)
    theirs, report = loaded
    assert not report["unexpected_keys"]
    assert set(report["missing_keys"]) <= {"temperature", "vision_model.embeddings.mask_token"}
    pixels = noise(32, 32)
    assert_close(ours.vision(pixels), theirs.vision_model(pixels).pooler_output)


# Tower, its width, layers, heads, MLP; width, MLP, heads and layers of the texts; parameters as in
# embeddings-benchmark/mteb (mteb/models), which count the mask token.
PUBLISHED_CONFIGS = {
    "tipsv2-b14": ("vit_base", 768, 12, 12, 4.0, "mlp", 768, 3072, 12, 12, 195_948_288),
    "tipsv2-l14": ("vit_large", 1024, 24, 16, 4.0, "mlp", 1024, 4096, 16, 12, 487_941_120),
    "tipsv2-so400m14": (
        "vit_so400m",
        1152,
        27,
        16,
        4304 / 1152,
        "mlp",
        1152,
        4304,
        16,
        27,
        861_726_816,
    ),
    "tipsv2-g14": ("vit_giant2", 1536, 40, 24, 4.0, "swiglu", 1536, 6144, 24, 12, 1_525_085_696),
}


@pytest.mark.parametrize("name", PUBLISHED_CONFIGS)
def test_both_configurations_have_the_tensors_of_transformers(name: str) -> None:
    tower, width, layers, heads, ratio, ffn, *text, parameters = PUBLISHED_CONFIGS[name]
    theirs: dict[str, Any] = {
        "vision_config": {
            "hidden_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "mlp_ratio": ratio,
            "use_swiglu_ffn": ffn == "swiglu",
        },
        "text_config": dict(
            zip(
                ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"),
                text,
                strict=True,
            )
        ),
    }
    flat = {
        "model_type": "tipsv2",
        "vision_fn": tower,
        "ffn_layer": ffn,
        "img_size": 448,
        "patch_size": 14,
        "num_register_tokens": 1,
        "init_values": 1.0,
        "text_hidden_size": text[0],
        "text_mlp_dim": text[1],
        "text_num_heads": text[2],
        "text_num_layers": text[3],
        "vocab_size": 32000,
        "max_len": 64,
        "temperature": 0.004,
    }
    with torch.device("meta"):
        expected = Tipsv2Model(Tipsv2Config(**theirs)).state_dict()
        found = scatter(TIPS.build(flat), TRANSFORMERS_TIPS)
    assert sum(tensor.numel() for tensor in found.values()) == parameters - width
    assert {n: t.shape for n, t in found.items()} == {
        n: t.shape for n, t in expected.items() if n not in TRANSFORMERS_TIPS.ignored
    }
    nested = TipsConfig.from_json(theirs | {"temperature_init_value": 0.004})
    assert TipsConfig.from_json(flat) == nested
    assert TipsConfig.from_json(json.loads(json.dumps(nested.to_json()))) == nested


def test_config_is_read_as_by_transformers() -> None:
    ours, theirs = TipsConfig.from_json(TINY), cast("Any", Tipsv2Config(**TINY))
    assert ours.temperature == theirs.temperature_init_value
    text = asdict(ours.text)
    assert text.pop("scaled") == theirs.text_config.scale_sqrt_depth
    assert text == {name: getattr(theirs.text_config, name) for name in text}
    assert ours.vision.intermediate_size == 96


@pytest.mark.parametrize(
    ("tower", "change", "message"),
    [
        ("vision_config", {"num_register_tokens": -1}, r"from 0 to 1000, not -1"),
        ("vision_config", {"use_swiglu_ffn": "yes"}, r"true or false, not 'yes'"),
        ("vision_config", {"mlp_ratio": 1e6}, r"At most 4194304 is read"),
        ("vision_config", {"qkv_bias": False}, r"only a TIPSv2 with biases"),
        ("text_config", {"hidden_size": 64}, r"width 64 .* width 32"),
        ("text_config", {"vocab_size": 99}, r"knows 99: the files do not belong together"),
        (None, {"temperature_init_value": 0}, r"a positive number, not 0"),
        (None, {"vision_fn": "vit_tiny"}, r"vision_fn is 'vit_tiny'; known are vit_small"),
    ],
)
def test_broken_configurations(
    tmp_path: Path, tower: str | None, change: dict[str, Any], message: str
) -> None:
    save_tips(tmp_path)
    change_config(tmp_path, lambda content: (content[tower] if tower else content).update(change))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    save_tips(tmp_path)
    change_weights(tmp_path, lambda tensors: tensors.pop("vision_encoder.register_tokens"))
    with pytest.raises(CheckpointError, match=r"Missing: vision_encoder\.register_tokens\.$"):
        load_checkpoint(tmp_path)


def test_open_clips_layout_is_refused(tmp_path: Path) -> None:
    save_tips(tmp_path)
    (tmp_path / "config.json").unlink()
    vision = {"timm_model_name": "vit_base_patch14_reg1_tipsv2", "timm_pool": "token"}
    content = {"model_cfg": {"embed_dim": 768, "vision_cfg": vision, "text_cfg": {}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"reg1_tipsv2\), .* google/tipsv2-b14"):
        load_checkpoint(tmp_path)
