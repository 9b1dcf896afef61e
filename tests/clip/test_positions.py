from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from lhtclip.clip.config import VisionConfig
from lhtclip.clip.positions import positions_for_grid
from lhtclip.clip.vision import VisionTower


def table(side: int, width: int = 3) -> torch.Tensor:
    return torch.randn(1 + side * side, width, generator=torch.Generator().manual_seed(side))


def cubic(distance: float, a: float = -0.75) -> float:
    """Keys' convolution kernel."""
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


def stretch(line: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Resample along the first axis, one output at a time, from four neighbours each."""
    scale = (length + 0.1) / len(line)
    out = np.zeros((length, *line.shape[1:]))
    for index in range(length):
        source = (index + 0.5) / scale - 0.5
        first = math.floor(source) - 1
        for neighbour in range(first, first + 4):
            at_border = min(max(neighbour, 0), len(line) - 1)
            out[index] += cubic(source - neighbour) * line[at_border]
    return out


@pytest.mark.parametrize(
    ("side", "grid"),
    [
        (14, (21, 21)),  # B/16 on 336 pixels
        (7, (14, 14)),  # B/32 on 448
        (14, (28, 21)),  # portrait
        (14, (7, 28)),  # as many patches as trained, in another shape
        (14, (14, 15)),  # one direction only: the trained one is stretched by 0.1 too
        (16, (5, 9)),  # smaller
        (4, (1, 1)),
        (1, (3, 2)),
    ],
)
def test_against_literal_bicubic(side: int, grid: tuple[int, int]) -> None:
    trained = table(side)
    found = positions_for_grid(trained, grid)
    image = trained[1:].double().numpy().reshape(side, side, -1)
    expected = stretch(stretch(image, grid[0]).swapaxes(0, 1), grid[1]).swapaxes(0, 1)
    assert found.shape == (1 + grid[0] * grid[1], 3)
    torch.testing.assert_close(found[0], trained[0], rtol=0, atol=0)
    np.testing.assert_allclose(found[1:].numpy(), expected.reshape(-1, 3), atol=1e-5)


def test_trained_grid_gets_the_table_itself() -> None:
    trained = table(14)
    assert positions_for_grid(trained, (14, 14)) is trained
    assert positions_for_grid(trained[1:], (14, 14), class_tokens=0).shape == (196, 3)


@pytest.mark.parametrize("grid", [(24, 24), (14, 15), (3, 5)])
def test_without_class_token_the_patches_are_stretched_alike(grid: tuple[int, int]) -> None:
    trained = table(14)
    expected = positions_for_grid(trained, grid)[1:]
    found = positions_for_grid(trained[1:], grid, class_tokens=0)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_same_number_of_patches_is_not_the_same_grid() -> None:
    trained = table(14)
    assert not torch.allclose(positions_for_grid(trained, (7, 28)), trained, atol=0.1)


def test_half_precision_is_stretched_in_float32() -> None:
    trained = table(7).bfloat16()
    found = positions_for_grid(trained, (9, 12))
    assert found.dtype == torch.bfloat16
    exact = positions_for_grid(trained.float(), (9, 12))
    torch.testing.assert_close(found, exact.bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(32, 32), (35, 47), (8, 15), (64, 24)])
def test_patch_tokens_are_a_strided_convolution(size: tuple[int, int]) -> None:
    config = VisionConfig(
        hidden_size=12, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=8,
    )  # fmt: skip
    tower = VisionTower(config, projection_dim=4)
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    kernel = tower.patch_embedding.weight.view(12, 3, 8, 8)
    expected = F.conv2d(pixels, kernel, stride=8).flatten(2).transpose(1, 2)
    torch.testing.assert_close(tower.patch_tokens(pixels), expected, rtol=0, atol=1e-5)
    assert tower.grid(pixels) == (size[0] // 8, size[1] // 8)
    assert tower(pixels).shape == (2, 4)
    layout = pixels.to(memory_format=torch.channels_last)
    torch.testing.assert_close(tower.patch_tokens(layout), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("grid", [(21, 28), (14, 15), (7, 28), (5, 9), (1, 1)])
@pytest.mark.parametrize("rule", ["antialiased", "bilinear"])
def test_rules_of_gem_and_clip_surgery_are_torchs(rule: str, grid: tuple[int, int]) -> None:
    trained = table(14)
    image = trained[1:].T.unflatten(1, (14, 14))[None]
    mode, antialias = ("bicubic", True) if rule == "antialiased" else ("bilinear", False)
    expected = F.interpolate(image, size=grid, mode=mode, antialias=antialias)[0].flatten(1).T
    found = positions_for_grid(trained, grid, rule=rule)
    torch.testing.assert_close(found[0], trained[0], rtol=0, atol=0)
    torch.testing.assert_close(found[1:], expected, rtol=0, atol=1e-5)
    assert (found - positions_for_grid(trained, grid)).abs().max() > 1e-3
    assert positions_for_grid(trained, (14, 14), rule=rule) is trained
