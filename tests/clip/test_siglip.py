"""Our SigLIP against `transformers.SiglipModel` with the same random weights."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import SiglipConfig, SiglipModel

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.state_dict import scatter
from lhtclip.clip.positions import positions_for_grid
from lhtclip.clip.siglip import TRANSFORMERS_SIGLIP
from lhtclip.clip.siglip.config import SiglipConfig as OurConfig
from lhtclip.clip.siglip.model import Siglip
from lhtclip.clip.siglip.vision import SiglipVisionTower
from tests.clip.theirs import assert_close, assert_streams_close, noise

PROMPTS = ["A photo of a cat.", "dog", "", "the cat of a dog, of 2 " * 5]


def published(width: int, heads: int, *, layers: int = 2, side: int = 128) -> dict[str, Any]:
    """A published shape; both towers are alike."""
    shared = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
    }
    return {"vision_config": shared | {"image_size": side}, "text_config": shared}


def so400m(*, layers: int = 2, patch: int = 14, side: int = 140) -> dict[str, Any]:
    """The shape-optimised towers: heads 72 wide."""
    shared = published(1152, 16, layers=layers)["text_config"] | {"intermediate_size": 4304}
    return {
        "vision_config": shared | {"image_size": side, "patch_size": patch},
        "text_config": shared,
    }


def giant(*, layers: tuple[int, int], side: int) -> dict[str, Any]:
    """SigLIP 2's giant: heads 96 wide, with the text tower of so400m."""
    vision = published(1536, 16, layers=layers[0], side=side)["vision_config"]
    text = so400m(layers=layers[1])["text_config"] | {"projection_size": 1536}
    return {"vision_config": vision, "text_config": text}


SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "base": published(768, 12),
    "large": published(1024, 16),
    "so400m": so400m(),
}


@dataclass(frozen=True)
class Pair:
    theirs: SiglipModel
    ours: Checkpoint

    @property
    def model(self) -> Siglip:
        assert isinstance(self.ours.model, Siglip)
        return self.ours.model

    def tokens(self) -> Tensor:
        return self.ours.tokenizer(PROMPTS)

    def pixels(self) -> Tensor:
        side = self.model.config.vision.image_size
        return noise(side, side)


@pytest.fixture(scope="module", params=SHAPES)
def pair(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    save_siglip: Callable[..., SiglipModel],
) -> Pair:
    folder = tmp_path_factory.mktemp("siglip")
    shape = SHAPES[request.param]
    theirs = save_siglip(folder, shape, like="siglip2") if shape else save_siglip(folder)
    return Pair(theirs, load_checkpoint(folder))


@pytest.fixture
def tiny(tmp_path: Path, save_siglip: Callable[..., SiglipModel]) -> Callable[..., Pair]:
    return lambda **options: Pair(save_siglip(tmp_path, **options), load_checkpoint(tmp_path))


def compare_image_towers(pair: Pair, pixels: Tensor, *, tolerance: float = 1e-5) -> None:
    tower = pair.model.vision
    theirs = pair.theirs.vision_model(pixel_values=pixels, output_hidden_states=True)
    x = assert_streams_close(tower, pixels, theirs, tolerance=tolerance)
    assert_close(tower.final_norm(x), theirs.last_hidden_state, tolerance=tolerance)
    assert_close(tower(pixels), theirs.pooler_output, tolerance=tolerance)


def compare_text_towers(pair: Pair, tokens: Tensor, *, tolerance: float = 1e-5) -> None:
    tower = pair.model.text
    theirs = pair.theirs.text_model(input_ids=tokens, output_hidden_states=True)
    x = assert_streams_close(tower, tokens, theirs, tolerance=tolerance)
    assert_close(tower.contextualise(tokens), x, tolerance=0)
    assert_close(tower.final_norm(x), theirs.last_hidden_state, tolerance=tolerance)
    assert_close(tower(tokens), theirs.pooler_output, tolerance=tolerance)


@torch.no_grad()
def test_image_tower(pair: Pair) -> None:
    compare_image_towers(pair, pair.pixels())


@torch.no_grad()
def test_text_tower(pair: Pair) -> None:
    tokens = pair.tokens()
    assert tokens.shape == (len(PROMPTS), pair.model.config.text.max_position_embeddings)
    compare_text_towers(pair, tokens)


@torch.no_grad()
def test_logits(pair: Pair) -> None:
    pixels, tokens = pair.pixels(), pair.tokens()
    expected = pair.theirs(input_ids=tokens, pixel_values=pixels).logits_per_image
    images, texts = pair.model.vision(pixels), pair.model.text(tokens)
    cosines = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
    logits = pair.model.logit_scale.exp() * cosines + pair.model.logit_bias
    assert_close(logits, expected)
    assert logits.std() > 1e-3


@torch.no_grad()
def test_bfloat16(tiny: Callable[..., Pair]) -> None:
    loaded = tiny()
    ours = load_checkpoint(loaded.ours.directory, dtype=torch.bfloat16).model
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.bfloat16}
    theirs = loaded.theirs.bfloat16()
    pixels, tokens = loaded.pixels().bfloat16(), loaded.tokens()
    for got, expected in (
        (ours.vision(pixels), theirs.vision_model(pixel_values=pixels).pooler_output),
        (ours.text(tokens), theirs.text_model(input_ids=tokens).pooler_output),
    ):
        assert got.dtype == torch.bfloat16
        error = (got.float() - expected.float()).norm() / expected.float().norm()
        assert error < 2e-2


@pytest.mark.parametrize("activation", ["gelu_pytorch_tanh", "gelu"])
@torch.no_grad()
def test_float64_leaves_no_room_for_another_formula(
    tmp_path: Path, save_siglip: Callable[..., SiglipModel], activation: str
) -> None:
    theirs = save_siglip(tmp_path, hidden_act=activation).double()
    exact = Pair(theirs, load_checkpoint(tmp_path, dtype=torch.float64))
    compare_image_towers(exact, noise(32, 32, batch=3).double(), tolerance=1e-12)
    compare_text_towers(exact, exact.tokens(), tolerance=1e-12)


@torch.no_grad()
def test_text_space_may_be_wider_than_the_text_tower(tiny: Callable[..., Pair]) -> None:
    loaded = tiny(hidden_size=24, projection_size=32)
    assert loaded.model.config.projection_dim == 32
    compare_text_towers(loaded, loaded.tokens())


@torch.no_grad()
def test_pixels_beyond_the_last_whole_patch(tiny: Callable[..., Pair]) -> None:
    loaded = tiny()
    pixels = noise(35, 39)
    expected = loaded.theirs.vision_model(pixels[..., :32, :32]).pooler_output
    assert_close(loaded.model.vision(pixels), expected)


@pytest.mark.parametrize("side", [24, 56])
@torch.no_grad()
def test_another_grid_is_a_model_with_another_table(tiny: Callable[..., Pair], side: int) -> None:
    loaded = tiny()
    grid = side // 8, side // 8
    table = positions_for_grid(loaded.model.vision.positions, grid, class_tokens=0)
    config = copy.deepcopy(loaded.theirs.config)
    config.vision_config.image_size = side
    other = SiglipModel(config).eval()
    key = "vision_model.embeddings.position_embedding.weight"
    other.load_state_dict(loaded.theirs.state_dict() | {key: table})
    compare_image_towers(Pair(other, loaded.ours), noise(side, side))


@torch.no_grad()
def test_no_class_token(tiny: Callable[..., Pair]) -> None:
    tower = tiny().model.vision
    pixels = noise(32, 48)
    assert tower.class_tokens == 0
    assert tower.grid(pixels) == (4, 6)
    assert tower.embed(pixels).shape == (2, 24, 32)


@torch.no_grad()
def test_a_token_alone_is_what_the_pooling_head_makes_of_it(pair: Pair) -> None:
    """With one key softmax is 1: their head on each token by itself is our value path."""
    tower, head = pair.model.vision, pair.theirs.vision_model.head
    tokens = tower.embed(pair.pixels())[:, :5]
    one_by_one = [
        head(pair.theirs.vision_model.post_layernorm(token)[None, None]).squeeze()
        for token in tokens.flatten(0, 1)
    ]
    expected = torch.stack(one_by_one).unflatten(0, (len(tokens), 5))
    assert_close(tower.project(tokens), expected)
    assert_close(tower.project(tokens[:, 0]), expected[:, 0])  # without a batch
    assert_close(tower.project(tokens[None]), expected[None])  # or in several


@torch.no_grad()
def test_equal_tokens_pool_to_what_each_is_alone(tiny: Callable[..., Pair]) -> None:
    tower = tiny().model.vision
    token = tower.embed(noise(32, 32))[:, :1]
    pooled = tower.head(tower.final_norm(token.expand(-1, 7, -1)))
    assert_close(pooled, tower.project(token)[:, 0])


@torch.no_grad()
def test_padding_is_part_of_the_prompt(tiny: Callable[..., Pair]) -> None:
    loaded = tiny()
    tokens = loaded.tokens()[1:2]
    whole = loaded.model.text(tokens)
    trimmed = loaded.model.text(tokens[:, :8])
    assert (whole - trimmed).abs().max() > 1e-2


@pytest.mark.parametrize(
    "config",
    [
        published(768, 12, layers=12, side=224),  # siglip-base-patch16-224
        published(1024, 16, layers=24, side=256),  # siglip-large-patch16-256
        published(1024, 16, layers=24, side=384),  # siglip-large-patch16-384
        so400m(layers=27, patch=14, side=384),  # 27 x 27 patches; 6 pixels are left over
        so400m(layers=27, patch=16, side=512),  # siglip2-so400m-patch16-512
        giant(layers=(40, 27), side=384),  # siglip2-giant-opt-patch16-384
    ],
)
@pytest.mark.parametrize("vocabulary", [32000, 256000])  # SigLIP, SigLIP 2
def test_tensors_of_the_whole_depth(config: dict[str, Any], vocabulary: int) -> None:
    config = config | {"text_config": config["text_config"] | {"vocab_size": vocabulary}}
    with torch.device("meta"):
        theirs = SiglipModel(SiglipConfig(**config)).state_dict()
        ours = scatter(Siglip(OurConfig.from_json(config)), TRANSFORMERS_SIGLIP)
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}


@pytest.mark.parametrize(
    "content",
    [
        {"vision_config": {}, "text_config": {}},
        {"vision_config": {"image_size": 384}, "text_config": {"vocab_size": 256000}},
        {
            "vision_config": {"hidden_size": 1024, "num_attention_heads": 16},
            "text_config": {"hidden_size": 1024, "num_attention_heads": 16},
        },
        {
            "vision_config": {"hidden_size": 1536, "num_attention_heads": 16, "patch_size": 16},
            "text_config": {"hidden_size": 1152, "num_attention_heads": 16}
            | {"projection_size": 1536, "intermediate_size": 4304},
        },
        {"vision_config": {}, "text_config": {"projection_size": None, "hidden_act": "gelu"}},
    ],
)
def test_config_is_read_as_by_transformers(content: dict[str, Any]) -> None:
    ours = OurConfig.from_json(json.loads(json.dumps(content)))
    theirs = SiglipConfig(**content)
    assert ours.projection_dim == theirs.text_config.projection_size
    for mine, other in ((ours.vision, theirs.vision_config), (ours.text, theirs.text_config)):
        assert asdict(mine) == {name: getattr(other, name) for name in asdict(mine)}


def test_patch_embedding_has_a_bias() -> None:
    config = OurConfig.from_json({"vision_config": {"num_hidden_layers": 1}, "text_config": {}})
    assert SiglipVisionTower(config.vision).patch_embedding.bias.shape == (768,)
