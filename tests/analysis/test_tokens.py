"""The census of abnormal tokens against loops over single tokens and all their pairs."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.analysis.tokens import (
    LayerTokens,
    TokenCensus,
    TokenStatistics,
    surrounded,
    token_statistics,
)
from lhtclip.analysis.trace import trace
from lhtclip.clip.config import VisionConfig
from lhtclip.clip.model import Clip
from lhtclip.clip.siglip.vision import SiglipVisionTower
from tests.models import LAYERS, tiny_clip, tiny_pixels

THRESHOLD = 0.3
ROWS, COLUMNS = 4, 4
CHANNEL = 7


def planted_clip() -> Clip:
    """Positions 5, 6 and 14 carry one huge channel in every image."""
    model = tiny_clip()
    vision = model.vision
    vision.positions[[1 + 5, 1 + 6, 1 + 14], CHANNEL] = 400.0
    vision.pre_norm.weight *= 20  # so that the layers do not bury it
    return model


VISION = planted_clip().vision
BATCHES = [tiny_pixels(3, 32, 32, seed=1), tiny_pixels(2, 32, 32, seed=2)]


@pytest.fixture(scope="module")
def statistics() -> TokenStatistics:
    return token_statistics(VISION, BATCHES, threshold=THRESHOLD)


def all_tokens() -> list[list[Tensor]]:
    """Of each layer the patch tokens of each image, (patches, width)."""
    layers: list[list[Tensor]] = [[] for _ in range(LAYERS)]
    for pixels in BATCHES:
        for step in trace(VISION, pixels):
            layers[step.layer - 1] += list(step.patches)
    return layers


def literal_hoyer(token: Tensor) -> float:
    root = math.sqrt(len(token))
    return (root - float(token.abs().sum() / token.square().sum().sqrt())) / (root - 1)


def split(images: list[Tensor]) -> tuple[list[tuple[int, Tensor]], list[tuple[int, Tensor]]]:
    """Return abnormal and normal tokens, each with the number of its image."""
    kinds: tuple[list[tuple[int, Tensor]], list[tuple[int, Tensor]]] = ([], [])
    for image, tokens in enumerate(images):
        for token in tokens:
            kinds[literal_hoyer(token) <= THRESHOLD].append((image, token))
    return kinds


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def cosine(one: Tensor, other: Tensor) -> float:
    return float(F.cosine_similarity(one, other, dim=0))


def close(expected: float) -> object:
    return pytest.approx(expected, abs=2e-5, rel=2e-5, nan_ok=True)


def test_the_planted_tokens_are_found_where_they_are(statistics: TokenStatistics) -> None:
    first = statistics.layers[0]
    shares = torch.tensor(first.abnormal_positions).flatten()
    assert set((shares == 1).nonzero().flatten().tolist()) >= {5, 6, 14}
    assert first.channels[0].index == CHANNEL
    assert first.channels[0].abnormal > 3 * first.channels[0].normal
    assert first.abnormal.across > 0.5 > first.normal.across


def test_scores_by_loops(statistics: TokenStatistics) -> None:
    for layer, images in zip(statistics.layers, all_tokens(), strict=True):
        scores = [[literal_hoyer(token) for token in tokens] for tokens in images]
        flat = sorted(score for image in scores for score in image)
        assert layer.mean == close(mean(flat))
        assert layer.highest == close(flat[-1])
        assert sum(layer.histogram) == len(flat)
        assert layer.quantile(0.5) == pytest.approx(flat[len(flat) // 2], abs=0.02)
        for position in range(ROWS * COLUMNS):
            row, column = divmod(position, COLUMNS)
            here = [image[position] for image in scores]
            assert layer.positions[row][column] == close(mean(here))
            above = mean([float(score > THRESHOLD) for score in here])
            assert layer.abnormal_positions[row][column] == close(above)
        assert layer.share == close(mean([float(score > THRESHOLD) for score in flat]))


def test_kinds_by_loops_over_all_pairs(statistics: TokenStatistics) -> None:
    mixed = 0
    for layer, images in zip(statistics.layers, all_tokens(), strict=True):
        for kind, tokens in zip((layer.abnormal, layer.normal), split(images), strict=True):
            assert kind.count == len(tokens)
            assert kind.norm == close(mean([float(token.norm()) for _, token in tokens]))
            pairs = list(permutations(tokens, 2))
            within = [cosine(a, b) for (i, a), (j, b) in pairs if i == j]
            across = [cosine(a, b) for (i, a), (j, b) in pairs if i != j]
            assert kind.within == close(mean(within))
            assert kind.across == close(mean(across))
        mixed += bool(layer.abnormal.count and layer.normal.count)
    assert mixed >= 2  # layers where there is something to compare


def test_channels_by_loops(statistics: TokenStatistics) -> None:
    layer, images = statistics.layers[0], all_tokens()[0]
    abnormal, normal = split(images)
    order = sorted(range(64), key=lambda index: -mean([float(t[index].abs()) for _, t in abnormal]))
    assert [channel.index for channel in layer.channels] == order[: len(layer.channels)]
    for channel in layer.channels:
        largest = [float(int(token.abs().argmax()) == channel.index) for _, token in abnormal]
        assert channel.share == close(mean(largest))
        assert channel.abnormal == close(mean([float(t[channel.index].abs()) for _, t in abnormal]))
        assert channel.normal == close(mean([float(t[channel.index].abs()) for _, t in normal]))


def test_similarity_of_layers_by_loops_over_all_pairs(statistics: TokenStatistics) -> None:
    abnormal = [[token for _, token in split(images)[0]] for images in all_tokens()]
    for one in range(LAYERS):
        for other in range(LAYERS):
            pairs = (
                permutations(abnormal[one], 2)
                if one == other
                else ((a, b) for a in abnormal[one] for b in abnormal[other])
            )
            expected = mean([cosine(a, b) for a, b in pairs])
            assert statistics.similarity[one][other] == close(expected)


def test_attention_is_what_the_next_layer_gives(statistics: TokenStatistics) -> None:
    received: list[tuple[list[float], list[float]]] = [([], []) for _ in range(LAYERS)]
    for pixels in BATCHES:
        for step in list(trace(VISION, pixels))[1:]:
            looked_at = step.attention_received
            for image, tokens in enumerate(step.entering[:, 1:]):
                for place, token in enumerate(tokens):
                    kind = literal_hoyer(token) <= THRESHOLD
                    received[step.layer - 2][kind].append(float(looked_at[image, 1 + place]))
    for layer, (abnormal, normal) in zip(statistics.layers, received, strict=True):
        assert layer.abnormal.attention == close(mean(abnormal))
        assert layer.normal.attention == close(mean(normal))
    assert math.isnan(statistics.layers[-1].normal.attention)


def test_surrounded_by_loops() -> None:
    generator = torch.Generator().manual_seed(3)
    abnormal = torch.rand(20, 4, 5, generator=generator) < 0.85
    found = surrounded(abnormal)
    assert found.any()
    for image in range(20):
        for row in range(4):
            for column in range(5):
                near = abnormal[image, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                assert bool(found[image, row, column]) == bool(near.all())


def test_batches_do_not_matter(statistics: TokenStatistics) -> None:
    census = TokenCensus(threshold=THRESHOLD)
    for image in torch.cat(BATCHES).split(1):
        census.add(trace(VISION, image), (ROWS, COLUMNS))
    for one, other in zip(census.statistics().layers, statistics.layers, strict=True):
        assert one.histogram == other.histogram
        assert one.abnormal.count == other.abnormal.count
        assert one.abnormal.across == close(other.abnormal.across)
        assert one.normal.within == close(other.normal.within)


def test_without_abnormal_tokens_nothing_is_invented() -> None:
    found = token_statistics(VISION, BATCHES, threshold=1.0)
    for layer in found.layers:
        assert layer.share == 0
        assert layer.channels == ()
        assert math.isnan(layer.surrounded)
        assert math.isnan(layer.abnormal.norm)
        assert layer.normal.count == 5 * ROWS * COLUMNS
    assert all(math.isnan(value) for row in found.similarity for value in row)


def test_entering_last_is_what_atr_judges(statistics: TokenStatistics) -> None:
    assert statistics.entering_last.layer == LAYERS - 1
    alone: LayerTokens = statistics.layers[0]
    assert TokenStatistics((alone,), ((1.0,),), (0,)).entering_last == alone


def test_a_tower_without_class_token() -> None:
    config = VisionConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
    )
    vision = SiglipVisionTower(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in vision.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    found = token_statistics(vision, BATCHES, threshold=THRESHOLD)
    first = found.layers[0]
    assert first.abnormal.count + first.normal.count == 5 * ROWS * COLUMNS
    attention = [(kind.count, kind.attention) for kind in (first.abnormal, first.normal)]
    received = sum(count * mean for count, mean in attention if count)
    assert received == pytest.approx(5 * ROWS * COLUMNS)  # all of it goes to patches
