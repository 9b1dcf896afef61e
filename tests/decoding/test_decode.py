"""Window logits to labels, against the shared protocol's steps done one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.decoding.decode import TILES, TileSize, decode
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.image.windows import WindowPlan, plan_windows

PLAIN = DecodeSettings()
ONE_WORD_EACH = (0, 1, 2, 3)
SYNONYMS = (0, 0, 0, 1, 2, 2, 3)
NO_BACKGROUND_WORD = (1, 1, 2, 3)  # class 0 exists by the threshold alone


@dataclass(frozen=True)
class Case:
    """An image, its windows and its patches."""

    original: tuple[int, int]
    resized: tuple[int, int]
    window: int | None
    stride: int = 16
    patch: int = 8

    @property
    def plan(self) -> WindowPlan:
        return plan_windows(*self.resized, window=self.window, stride=self.stride)

    def logits(self, queries: int, *, seed: int = 0) -> Tensor:
        """Return cosines of about the spread that CLIP's have."""
        plan = self.plan
        grid = (plan.window_height // self.patch, plan.window_width // self.patch)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(plan.tops), len(plan.lefts), *grid, queries, generator=generator)
        return 0.2 + 0.04 * noise


CASES = {
    "protocol": Case((75, 100), (67, 90), 45, 22, 16),  # a fifth of the real thing
    "odd sizes": Case((97, 131), (65, 87), 32),
    "window is no multiple of the patch": Case((60, 81), (64, 86), 37),
    "stride is no multiple either": Case((50, 70), (48, 66), 32, 13),
    "smaller than a window": Case((20, 50), (24, 60), 64),
    "smaller in height alone": Case((33, 91), (24, 70), 32),
    "whole image": Case((45, 61), (45, 61), None),
    "whole image, resized": Case((90, 33), (61, 27), None),
    "much smaller original": Case((9, 7), (64, 50), 32),
    "one pixel": Case((1, 1), (32, 32), 32),
    "one patch": Case((40, 30), (8, 8), 32),
    "window and stride alike": Case((64, 64), (64, 64), 16),
}


@dataclass(frozen=True)
class Expected:
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]  # of the winner, before the threshold
    gap: NDArray[np.float64]  # from the winner to the next class, or to the threshold


def decoded_slowly(
    logits: Tensor, case: Case, class_of_query: tuple[int, ...], classes: int, how: DecodeSettings
) -> Expected:
    """Steps 7 to 10 of the shared protocol, in float64."""
    plan, queries = case.plan, logits.shape[-1]
    total = torch.zeros(queries, *case.resized, dtype=torch.float64)
    count = torch.zeros(case.resized, dtype=torch.float64)
    for i, top in enumerate(plan.tops):
        for j, left in enumerate(plan.lefts):
            crop = logits[i, j].double().permute(2, 0, 1)[None]
            size = (plan.window_height, plan.window_width)
            crop = F.interpolate(crop, size=size, mode="bilinear", align_corners=False)[0]
            total[:, top : top + size[0], left : left + size[1]] += crop
            count[top : top + size[0], left : left + size[1]] += 1
    mean = (total / count)[None]
    mean = F.interpolate(mean, size=case.original, mode="bilinear", align_corners=False)[0]
    probabilities = torch.softmax(how.logit_scale * mean, dim=0)
    planes = torch.zeros(classes, *case.original, dtype=torch.float64)
    for query, index in enumerate(class_of_query):
        planes[index] = torch.maximum(planes[index], probabilities[query])
    labels = planes.argmax(dim=0)
    if how.area_threshold > 0:
        pixels = [int((labels == index).sum()) for index in range(classes)]
        foreground = sum(pixels[1:])
        for index in range(1, classes):
            if pixels[index] <= how.area_threshold * foreground:
                planes[index] *= 0
        labels = planes.argmax(dim=0)
    best = planes.sort(dim=0, descending=True).values
    gap = best[0] - best[1] if classes > 1 else torch.ones_like(best[0])
    gap = torch.minimum(gap, (best[0] - how.threshold).abs())
    labels[best[0] < how.threshold] = 0
    return Expected(labels.numpy(), best[0].numpy(), gap.numpy())


def assert_as_slowly(
    logits: Tensor,
    case: Case,
    class_of_query: tuple[int, ...] = ONE_WORD_EACH,
    how: DecodeSettings = PLAIN,
) -> None:
    classes = max(class_of_query) + 1
    expected = decoded_slowly(logits, case, class_of_query, classes, how)
    labels, scores = decode(logits, case.plan, case.original, class_of_query, classes, how)
    assert labels.shape == scores.shape == case.original
    np.testing.assert_allclose(scores, expected.scores, rtol=0, atol=1e-4)
    decided = expected.gap > 1e-5
    assert decided.mean() > 0.99
    np.testing.assert_array_equal(labels[decided], expected.labels[decided])


# Against the protocol


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_sizes(case: Case) -> None:
    assert_as_slowly(case.logits(4), case)
    assert_as_slowly(case.logits(7), case, SYNONYMS, DecodeSettings(threshold=0.4))


def test_the_real_thing() -> None:
    """An image of 500 × 375 pixels as ViT-B/16 sees it: 6 windows."""
    case = Case((375, 500), (336, 448), 224, 112, 16)
    assert case.plan.count == 6
    assert_as_slowly(case.logits(4), case)


@pytest.mark.parametrize("class_of_query", [ONE_WORD_EACH, SYNONYMS, NO_BACKGROUND_WORD, (0,)])
@pytest.mark.parametrize(
    "how",
    [
        DecodeSettings(),
        DecodeSettings(logit_scale=100.0),
        DecodeSettings(logit_scale=1.0),
        DecodeSettings(threshold=0.45),
        DecodeSettings(threshold=0.9, logit_scale=10.0),
        DecodeSettings(area_threshold=0.3),
        DecodeSettings(area_threshold=0.3, threshold=0.45),
    ],
    ids=str,
)
def test_words_and_thresholds(class_of_query: tuple[int, ...], how: DecodeSettings) -> None:
    case = CASES["odd sizes"]
    assert_as_slowly(case.logits(len(class_of_query)), case, class_of_query, how)


@settings(max_examples=30, deadline=None)
@given(
    original=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    resized=st.tuples(st.integers(4, 60), st.integers(4, 60)),
    window_and_stride=st.integers(4, 40).flatmap(
        lambda window: st.tuples(st.just(window), st.integers(max(1, window // 4), window))
    ),
    seed=st.integers(0, 1000),
)
def test_any_sizes(
    original: tuple[int, int],
    resized: tuple[int, int],
    window_and_stride: tuple[int, int],
    seed: int,
) -> None:
    case = Case(original, resized, *window_and_stride, patch=4)
    logits = case.logits(7, seed=seed)
    expected = decoded_slowly(logits, case, SYNONYMS, 4, PLAIN)
    labels, scores = decode(logits, case.plan, original, SYNONYMS, 4, PLAIN)
    np.testing.assert_allclose(scores, expected.scores, rtol=0, atol=1e-4)
    decided = expected.gap > 1e-5
    np.testing.assert_array_equal(labels[decided], expected.labels[decided])


# Thresholds


def test_threshold_only_moves_pixels_to_class_0_and_keeps_their_scores() -> None:
    case = CASES["odd sizes"]
    logits = case.logits(7)
    labels, scores = decode(logits, case.plan, case.original, SYNONYMS, 4, PLAIN)
    middle = float(np.sort(scores[labels > 0])[2000])  # itself the score of a pixel, which stays
    how = DecodeSettings(threshold=middle)
    above, same_scores = decode(logits, case.plan, case.original, SYNONYMS, 4, how)
    np.testing.assert_array_equal(same_scores, scores)
    np.testing.assert_array_equal(above, np.where(scores < middle, 0, labels))
    assert (above[scores == middle] > 0).any()


def test_area_threshold_strikes_small_classes_and_never_class_0() -> None:
    case = Case((40, 40), (40, 40), None)
    logits = torch.zeros(1, 1, 5, 5, 4)
    logits[..., 1] = 0.3  # class 1 nearly everywhere,
    logits[0, 0, 2, 2, 2] = 0.6  # class 2 in the middle
    logits[0, 0, 0, 0, 0] = 0.6  # and class 0 in a corner, both small
    options = (case.plan, case.original, ONE_WORD_EACH, 4)
    before, _ = decode(logits, *options, PLAIN)
    after, scores = decode(logits, *options, DecodeSettings(area_threshold=0.1))
    assert set(np.unique(before)) == {0, 1, 2}
    assert set(np.unique(after)) == {0, 1}
    np.testing.assert_array_equal(after[before != 2], before[before != 2])
    assert (after[before == 2] == 1).all()
    assert scores[20, 20] < 0.01  # what class 1 had all along; the softmax is not done again


def test_area_threshold_strikes_what_just_reaches_it() -> None:
    case = Case((3, 4), (3, 4), None, patch=1)  # a patch is a pixel
    wanted = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 1, 1]])  # class 2: 2 of 8
    logits = F.one_hot(wanted, 4)[None, None].float()
    for area, survives in ((0.25, False), (0.24, True)):
        how = DecodeSettings(area_threshold=area, logit_scale=10.0)
        labels, _ = decode(logits, case.plan, case.original, ONE_WORD_EACH, 4, how)
        assert set(labels[:2].flat) == {0, 1}
        assert (2 in labels) == survives


def test_area_threshold_that_strikes_everything_leaves_class_0() -> None:
    case = CASES["whole image"]
    logits = case.logits(4)
    how = DecodeSettings(area_threshold=1.0)
    labels, scores = decode(logits, case.plan, case.original, NO_BACKGROUND_WORD, 4, how)
    assert not labels.any()
    assert not scores.any()


def test_scores_are_probabilities() -> None:
    case = CASES["odd sizes"]
    for class_of_query in (ONE_WORD_EACH, SYNONYMS, (0,)):
        logits = case.logits(len(class_of_query))
        for scale in (1.0, 40.0, 1000.0):
            how = DecodeSettings(logit_scale=scale)
            _, scores = decode(logits, case.plan, case.original, class_of_query, 4, how)
            assert scores.dtype == np.float32
            assert scores.min() > 0
            assert scores.max() <= 1


# What must not matter


@pytest.mark.parametrize("tile", [TileSize(1, 1), TileSize(300, 5), TileSize(3000, 64)])
@pytest.mark.parametrize("how", [PLAIN, DecodeSettings(threshold=0.45, area_threshold=0.3)])
def test_many_tiles_are_one_tile(
    tile: TileSize, how: DecodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case((13, 17), (64, 78), 32)
    logits = case.logits(7)
    expected = decoded_slowly(logits, case, SYNONYMS, 4, how)
    options = (logits, case.plan, case.original, SYNONYMS, 4, how)
    labels, scores = decode(*options)
    monkeypatch.setitem(TILES, "cpu", tile)
    tiled_labels, tiled_scores = decode(*options)
    np.testing.assert_allclose(tiled_scores, scores, rtol=0, atol=1e-5)
    decided = expected.gap > 1e-5
    np.testing.assert_array_equal(tiled_labels[decided], labels[decided])


@pytest.mark.parametrize("how", [PLAIN, DecodeSettings(logit_scale=65.0)])
def test_permuting_classes_permutes_labels(how: DecodeSettings) -> None:
    case = CASES["odd sizes"]
    logits = case.logits(7)
    options = (case.plan, case.original)
    labels, scores = decode(logits, *options, SYNONYMS, 4, how)
    order = (2, 0, 3, 1)  # new class i is old class order[i]
    queries = [query for index in order for query in range(7) if SYNONYMS[query] == index]
    renamed = tuple(order.index(SYNONYMS[query]) for query in queries)
    assert renamed == tuple(sorted(renamed))
    other_labels, other_scores = decode(logits[..., queries], *options, renamed, 4, how)
    np.testing.assert_allclose(other_scores, scores, rtol=0, atol=1e-5)
    decided = decoded_slowly(logits, case, SYNONYMS, 4, how).gap > 1e-5
    np.testing.assert_array_equal(np.array(order)[other_labels][decided], labels[decided])


def test_one_window_is_the_whole_image() -> None:
    whole, windowed = Case((45, 61), (48, 64), None), Case((45, 61), (48, 64), 64)
    logits = whole.logits(4)
    one, other = (
        decode(logits, case.plan, case.original, ONE_WORD_EACH, 4, PLAIN)
        for case in (whole, windowed)
    )
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


def test_input_is_left_alone() -> None:
    case = CASES["odd sizes"]
    logits = case.logits(4)
    before = logits.clone()
    for _ in range(2):  # the second time from the cached matrices
        assert_as_slowly(logits, case)
    assert torch.equal(logits, before)
