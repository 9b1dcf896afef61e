"""Test-time registers: what a register takes, and which neurons are found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.registers.compare import compare, table
from experiments.registers.neurons import register_neurons
from experiments.registers.tower import RegisterMlp, with_register
from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.clip.layers import Mlp
from lhtclip.clip.towers import ImageTower
from lhtclip.datasets import open_dataset
from lhtclip.datasets.samples import choose_samples
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.encoder import DenseEncoder
from tests.models import tiny_clip, tiny_pixels


def mlp_of(layer: int) -> Mlp:
    mlp = tiny_clip().vision.blocks[layer - 1].mlp
    assert isinstance(mlp, Mlp)
    return mlp


def test_the_register_gets_the_largest_activation_and_patches_none() -> None:
    plain, chosen = mlp_of(2), [3, 17]
    x = torch.randn(2, 6, 64, generator=torch.Generator().manual_seed(0))
    hidden = plain.activation(plain.expand(x))
    for image in hidden:
        for unit in chosen:
            largest = max(float(image[place, unit]) for place in range(2, 6))
            image[2:, unit] = 0
            image[1, unit] = largest
    given = RegisterMlp(plain, chosen, register=1)(x)
    torch.testing.assert_close(given, plain.contract(hidden))
    torch.testing.assert_close(given[:, 0], plain(x)[:, 0])


def test_one_more_token_before_the_patches() -> None:
    model, pixels = tiny_clip(), tiny_pixels()
    changed = with_register(model, [(2, 3), (3, 1), (2, 7)])
    assert (model.vision.class_tokens, changed.vision.class_tokens) == (1, 2)
    given, plain = (DenseEncoder(each)(pixels) for each in (changed, model))
    assert given.shape == plain.shape
    assert (given - plain).abs().max() > 0.01
    tokens = changed.vision.embed(pixels)
    assert not tokens[:, 1].any()
    torch.testing.assert_close(
        tokens[:, [0, *range(2, tokens.shape[1])]], model.vision.embed(pixels)
    )


def test_neurons_that_write_abnormal_tokens_are_found() -> None:
    """Neuron 5 of layer 2 fires at two positions and writes into one channel."""
    model = tiny_clip()
    vision: ImageTower = model.vision
    vision.positions[[4, 9], 7] = 300.0  # pyright: ignore[reportIndexIssue]
    mlp = vision.blocks[1].mlp
    assert isinstance(mlp, Mlp)
    mlp.expand.weight[5] = 0
    mlp.expand.weight[5, 7] = 8.0
    mlp.contract.weight[11, 5] = 50.0

    def sparsest() -> Tensor:
        x = vision.embed(tiny_pixels(2, 32, 32))
        for block in vision.blocks[:-1]:
            x = block(x)
        return x

    found = register_neurons(vision, [tiny_pixels(2, 32, 32)], count=3, share=0.1)
    assert found[0] == (2, 5)
    changed = with_register(model, found[:1])
    before = sparsest()[:, 1:, 11].abs().amax()
    vision = changed.vision
    after = sparsest()[:, 2:, 11].abs().amax()
    assert after < 0.5 * before


def test_the_table_has_a_row_for_each_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LHTCLIP_CACHE", str(tmp_path))
    scenes = choose_samples(open_dataset("scenes"), limit=1)
    files = [scene.image for scene in bundled_scenes()[:2]]
    rows = compare(load_checkpoint("bundled"), files, scenes, method="clearclip", counts=[4])
    names = ["nothing", "ATR", "ATR by abnormal channels"]
    assert [row.name for row in rows] == [
        *names,
        "a register, 4 neurons",
        "a register, 4 neurons, and ATR",
    ]
    assert len({round(row.mean_iou, 6) for row in rows}) > 1
    assert len(table(rows)) == 7
