"""Our towers against `transformers.CLIPModel` with the same random weights."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.clip.config import ClipConfig
from lhtclip.clip.positions import positions_for_grid
from tests.clip.theirs import assert_close, assert_streams_close, features, noise

PROMPTS = ["a photo of a cat", "dog", "the cat of a dog, of 2"]


def published(
    vision: tuple[int, int], patch: int, text: tuple[int, int], projection: int
) -> dict[str, Any]:
    """A published shape, two blocks deep, on 8 x 8 patches; (width, heads) of each tower."""
    return {
        "projection_dim": projection,
        "vision_config": {
            "hidden_size": vision[0],
            "intermediate_size": 4 * vision[0],
            "num_attention_heads": vision[1],
            "num_hidden_layers": 2,
            "image_size": 8 * patch,
            "patch_size": patch,
        },
        "text_config": {
            "hidden_size": text[0],
            "intermediate_size": 4 * text[0],
            "num_attention_heads": text[1],
            "num_hidden_layers": 2,
        },
    }


SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "B/32": published((768, 12), 32, (512, 8), 512),
    "B/16": published((768, 12), 16, (512, 8), 512),
    "L/14": published((1024, 16), 14, (768, 12), 768),
}


@dataclass(frozen=True)
class Pair:
    theirs: CLIPModel
    ours: Checkpoint

    def tokens(self) -> Tensor:
        return self.ours.tokenizer(PROMPTS)

    def pixels(self) -> Tensor:
        side = self.ours.model.config.vision.image_size
        return noise(side, side)


@pytest.fixture(scope="module", params=SHAPES)
def pair(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    save_clip: Callable[..., CLIPModel],
) -> Pair:
    folder = tmp_path_factory.mktemp("clip")
    shape = SHAPES[request.param]
    return Pair(save_clip(folder, shape) if shape else save_clip(folder), load_checkpoint(folder))


@pytest.fixture
def tiny(tmp_path: Path, save_clip: Callable[..., CLIPModel]) -> Callable[..., Pair]:
    return lambda **options: Pair(save_clip(tmp_path, **options), load_checkpoint(tmp_path))


def compare_image_towers(pair: Pair, pixels: Tensor, *, tolerance: float = 1e-5) -> None:
    tower = pair.ours.model.vision
    theirs = pair.theirs.vision_model(pixel_values=pixels, output_hidden_states=True)
    x = assert_streams_close(tower, pixels, theirs, tolerance=tolerance)
    assert_close(tower.final_norm(x[:, 0]), theirs.pooler_output, tolerance=tolerance)
    expected = features(pair.theirs.get_image_features(pixel_values=pixels))
    assert_close(tower(pixels), expected, tolerance=tolerance)
    patches = pair.theirs.vision_model.post_layernorm(theirs.last_hidden_state[:, 1:])
    expected = pair.theirs.visual_projection(patches)
    assert_close(tower.project(x[:, 1:]), expected, tolerance=tolerance)


def compare_text_towers(pair: Pair, tokens: Tensor, *, tolerance: float = 1e-5) -> None:
    tower = pair.ours.model.text
    theirs = pair.theirs.text_model(input_ids=tokens, output_hidden_states=True)
    x = assert_streams_close(tower, tokens, theirs, tolerance=tolerance, causal=True)
    assert_close(tower.final_norm(x), theirs.last_hidden_state, tolerance=tolerance)
    expected = features(pair.theirs.get_text_features(input_ids=tokens))
    assert_close(tower(tokens), expected, tolerance=tolerance)


@torch.no_grad()
def test_image_tower(pair: Pair) -> None:
    compare_image_towers(pair, pair.pixels())


@torch.no_grad()
def test_text_tower(pair: Pair) -> None:
    compare_text_towers(pair, pair.tokens())


@torch.no_grad()
def test_bfloat16(pair: Pair) -> None:
    ours = load_checkpoint(pair.ours.directory, dtype=torch.bfloat16).model
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.bfloat16}
    theirs = copy.deepcopy(pair.theirs).bfloat16()
    pixels, tokens = pair.pixels().bfloat16(), pair.tokens()
    for got, expected in (
        (ours.vision(pixels), features(theirs.get_image_features(pixel_values=pixels))),
        (ours.text(tokens), features(theirs.get_text_features(input_ids=tokens))),
    ):
        assert got.dtype == torch.bfloat16
        error = (got.float() - expected.float()).norm() / expected.float().norm()
        assert error < 1e-2


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@torch.no_grad()
def test_float64_leaves_no_room_for_another_formula(
    tmp_path: Path, save_clip: Callable[..., CLIPModel], activation: str
) -> None:
    theirs = save_clip(tmp_path, hidden_act=activation).double()
    exact = Pair(theirs, load_checkpoint(tmp_path, dtype=torch.float64))
    compare_image_towers(exact, noise(32, 32, batch=3).double(), tolerance=1e-12)
    compare_text_towers(exact, exact.tokens(), tolerance=1e-12)


@torch.no_grad()
def test_activation_is_that_of_each_tower(tiny: Callable[..., Pair]) -> None:
    mixed = tiny(hidden_act="gelu")
    assert mixed.ours.model.config.text.hidden_act == "gelu"
    assert mixed.ours.model.config.vision.hidden_act == "quick_gelu"
    compare_image_towers(mixed, noise(32, 32))
    compare_text_towers(mixed, mixed.tokens())


@pytest.mark.parametrize(
    ("end", "options"),
    [
        ("last", {}),
        ("last", {"eos_token_id": 2}),  # early published configs; 2 is an ordinary token here
        ("second", {}),  # the end token has not the largest id: argmax would not find it
    ],
)
@torch.no_grad()
def test_end_token(tiny: Callable[..., Pair], end: str, options: dict[str, int]) -> None:
    loaded = tiny(end=end, **options)
    tokens = loaded.tokens()
    compare_text_towers(loaded, tokens)

    tower, tokenizer = loaded.ours.model.text, loaded.ours.tokenizer
    ends = (tokens == tokenizer.end).int().argmax(dim=1)
    assert len(set(ends.tolist())) == len(PROMPTS)  # of different length
    for row, end_at in zip(tokens, ends.tolist(), strict=True):
        alone = row[None, : end_at + 1]
        padded = torch.nn.functional.pad(alone, (0, 20 - alone.shape[1]), value=tokenizer.end)
        assert_close(tower(padded), tower(alone), tolerance=1e-6)
        if end == "second":  # whatever follows the end token changes nothing
            other = torch.nn.functional.pad(alone, (0, 20 - alone.shape[1]), value=7)
            assert_close(tower(other), tower(alone), tolerance=1e-6)


@torch.no_grad()
def test_pixels_beyond_the_last_whole_patch(tiny: Callable[..., Pair]) -> None:
    loaded = tiny()
    pixels = noise(
        35, 39
    )  # still 4 x 4 patches of 8, where their rule and ours both interpolate nothing
    theirs = loaded.theirs.vision_model(pixel_values=pixels, interpolate_pos_encoding=True)
    expected = loaded.theirs.visual_projection(theirs.pooler_output)
    assert_close(loaded.ours.model.vision(pixels), expected)
    assert_close(loaded.ours.model.vision(pixels[..., :32, :32]), expected)


@torch.no_grad()
def test_another_grid_is_a_model_with_another_table(tiny: Callable[..., Pair]) -> None:
    loaded = tiny()
    table = positions_for_grid(loaded.ours.model.vision.positions, (7, 7))
    config = copy.deepcopy(loaded.theirs.config)
    config.vision_config.image_size = 56
    larger = CLIPModel(config).eval()
    key = "vision_model.embeddings.position_embedding.weight"
    larger.load_state_dict(loaded.theirs.state_dict() | {key: table})
    pixels = noise(56, 56)
    expected = features(larger.get_image_features(pixel_values=pixels))
    assert_close(loaded.ours.model.vision(pixels), expected)


@pytest.mark.parametrize(
    "content",
    [
        {"vision_config": {}, "text_config": {}},
        {"vision_config": {"patch_size": 16}, "text_config": {"hidden_act": "gelu"}},
        {
            "projection_dim": 768,
            "vision_config": {"hidden_size": 1024, "num_attention_heads": 16},
            "text_config": {"hidden_size": 768, "num_attention_heads": 12},
            "vision_config_dict": None,
            "text_config_dict": None,
        },
        {  # the _dict says something else
            "vision_config": {"patch_size": 16},
            "text_config": {"num_hidden_layers": 6, "eos_token_id": 2},
            "vision_config_dict": {"patch_size": 14, "num_hidden_layers": 24},
            "text_config_dict": {"num_hidden_layers": 7, "eos_token_id": 5},
        },
        {  # the _dict says less: the rest has the default values, whatever the other says
            "vision_config": {"patch_size": 16, "hidden_act": "gelu"},
            "text_config": {"hidden_size": 768, "eos_token_id": 2},
            "vision_config_dict": {"num_hidden_layers": 24},
            "text_config_dict": {"num_hidden_layers": 7},
        },
        {"vision_config": {}, "text_config_dict": {"num_hidden_layers": 7}},
    ],
)
def test_config_is_read_as_by_transformers(content: dict[str, Any]) -> None:
    content = json.loads(json.dumps(content))
    ours = ClipConfig.from_json(content)
    theirs = CLIPConfig(**content)
    assert ours.projection_dim == theirs.projection_dim
    for mine, other in ((ours.vision, theirs.vision_config), (ours.text, theirs.text_config)):
        assert asdict(mine) == {name: getattr(other, name) for name in asdict(mine)}
