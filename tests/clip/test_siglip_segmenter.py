"""From a folder with a SigLIP to a mask: the last block acts, the head's value path projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import SiglipModel

from lhtclip import Segmenter, WindowSettings
from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.encoder import DenseEncoder
from lhtclip.methods import METHODS
from lhtclip.techniques.presets import preset_by_depth
from lhtclip.techniques.she import SheSettings

LAYERS, HEADS, WIDTH = 12, 12, 48
SHAPE: dict[str, Any] = {
    "vision_config": {
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "image_size": 32,
        "patch_size": 8,
    },
    "text_config": {
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
}
PIXELS = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def theirs(
    tmp_path_factory: pytest.TempPathFactory, save_siglip: Callable[..., SiglipModel]
) -> SiglipModel:
    folder = tmp_path_factory.mktemp("siglip")
    model = save_siglip(folder, SHAPE)
    model.name_or_path = str(folder)
    return model


@pytest.fixture(scope="module")
def folder(theirs: SiglipModel) -> Path:
    return Path(theirs.name_or_path)


def segmenter(folder: Path, **options: Any) -> Segmenter:
    return Segmenter.from_pretrained(
        folder,
        windows=WindowSettings(short_side=48, window=32, stride=16),
        templates=("{}", "A photo of a {}."),
        text_cache=False,
        dtype="float32",
        device="cpu",
        **options,
    )


def literal_sclip(theirs: SiglipModel, pixels: Tensor) -> Tensor:
    """Run the layers of `transformers`, SCLIP's sum of attentions written out in the last one."""
    side = theirs.config.vision_config.patch_size
    tower = theirs.vision_model
    assert pixels.shape[-2:] == (32, 32)
    assert side == 8
    hidden = tower(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
    layer = tower.encoder.layers[-1]
    normed = layer.layer_norm1(hidden)
    projections = [
        projection(normed).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
    ]
    queries, keys, values = projections
    scale = (WIDTH // HEADS) ** -0.5
    attention = sum((scale * x @ x.mT).softmax(-1) for x in (queries, keys))
    hidden = hidden + layer.self_attn.out_proj((attention @ values).transpose(1, 2).flatten(2))
    hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
    tokens = tower.post_layernorm(hidden)
    pooled = [tower.head(token[None, None])[0] for token in tokens.flatten(0, 1)]
    return F.normalize(torch.stack(pooled), dim=-1).unflatten(0, (len(pixels), 4, 4))


@torch.no_grad()
def test_sclip_literally(theirs: SiglipModel, folder: Path) -> None:
    encoder = DenseEncoder(load_checkpoint(folder).model, method="sclip")
    pixels = PIXELS[..., :32]
    torch.testing.assert_close(encoder(pixels), literal_sclip(theirs, pixels), rtol=0, atol=1e-5)


@torch.no_grad()
def test_its_own_last_block_and_the_value_path(folder: Path) -> None:
    vision = load_checkpoint(folder).model.vision
    x = vision.embed(PIXELS)
    for block in vision.blocks:
        x = block(x)
    expected = F.normalize(vision.project(x), dim=-1).unflatten(1, (4, 6))
    found = DenseEncoder(load_checkpoint(folder).model, method="clip")(PIXELS)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_every_method_with_every_technique(folder: Path, method: str) -> None:
    model = load_checkpoint(folder).model
    she = SheSettings(heads=((6, 11), (8, 12), (6, 1)))
    preset = preset_by_depth(LAYERS)
    plain = DenseEncoder(model, method=method)(PIXELS)
    with_lht = DenseEncoder(model, method=method, lht=preset.select(lht=True, she=she))
    lht = with_lht(PIXELS)
    for embeddings in (plain, lht):
        assert embeddings.shape == (2, 4, 6, WIDTH)
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2, 4, 6))
    assert (plain - lht).abs().max() > 1e-2


@pytest.mark.parametrize("lht", [False, True])
def test_segmenter(folder: Path, lht: bool, caplog: pytest.LogCaptureFixture) -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    loaded = segmenter(folder, lht=lht)
    result = loaded.segment(image, ["cat", "dog", "Tree"])
    assert result.labels.shape == (60, 90)
    assert result.names == ("cat", "dog", "Tree")
    assert set(np.unique(result.labels)) <= {0, 1, 2}
    assert bool(loaded.encoder.lht.ssr) == lht
    if lht:  # by depth, as for a CLIP that nobody has ranked
        assert loaded.encoder.lht.ssr is not None
        assert loaded.encoder.lht.ssr.layers == (10, 11)
        assert loaded.encoder.lht.she is None
        assert "without SHE" in caplog.text


@torch.no_grad()
def test_text_embeddings(theirs: SiglipModel, folder: Path) -> None:
    """Each prompt in a batch of its own, padded to 64 tokens, cleaned by hand."""
    loaded = segmenter(folder, lht=False)
    found = loaded.texts.encode(["cat", "a Black dog"])
    tokenizer = loaded.checkpoint.tokenizer
    for row, prompts in zip(
        found,
        (["cat", "a photo of a cat"], ["a black dog", "a photo of a a black dog"]),
        strict=True,
    ):
        features: list[Tensor] = []
        for prompt in prompts:
            (ids,) = tokenizer.encode([prompt])
            padded = torch.tensor([ids + [1] * (64 - len(ids))])
            (feature,) = theirs.text_model(input_ids=padded).pooler_output
            features.append(F.normalize(feature, dim=0))
        expected = F.normalize(torch.stack(features).mean(0), dim=0)
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-5)
