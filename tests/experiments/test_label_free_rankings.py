"""Each label-free measure against plain loops, known values, and planted heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from torch import Tensor

from experiments.label_free_heads.colours import appearance
from experiments.label_free_heads.maps import agreement, cosine_maps
from experiments.label_free_heads.mean_of_ranks import mean_of_ranks
from experiments.label_free_heads.observation import Observation, observe
from experiments.label_free_heads.rank_all import MEAN_OF_RANKS, RANKINGS, rank_by_all
from experiments.label_free_heads.smoothness import neighbours
from experiments.label_free_heads.spectral_gap import gaps
from experiments.label_free_heads.words import confident_words
from lhtclip.analysis.discriminability import UNLABELLED
from lhtclip.analysis.label_free import clusters, consensus, heads_before, pseudo_label_auc
from lhtclip.analysis.trace import trace
from lhtclip.errors import InputError, UnknownNameError
from tests.models import HEADS, LAYERS, PATCH, tiny_clip, tiny_pixels

SIDE, CELL, WINDOWS, CLASSES, WIDTH = 8, 4, 6, 5, 16
VISION = tiny_clip().vision
GOOD, FAIR, NOISE, PLACE = range(4)


def planted(*, seed: int = 0) -> Observation:
    """Windows with a thing on a ground, seen by heads of four kinds.

    Head GOOD knows what a patch shows, FAIR half so, NOISE nothing, and PLACE where it lies.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(WINDOWS, SIDE, SIDE, dtype=torch.long)
    for window in range(WINDOWS):
        top, left = torch.randint(1, SIDE - 3, (2,), generator=generator).tolist()
        labels[window, top : top + 3, left : left + 3] = 1 + window % (CLASSES - 1)
    colours = torch.randn(CLASSES, 3, generator=generator)
    pixels = colours[labels].permute(0, 3, 1, 2)
    pixels = pixels.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
    pixels = pixels + 0.1 * torch.randn(pixels.shape, generator=generator)
    what = torch.randn(CLASSES, WIDTH, generator=generator)[labels].flatten(1, 2)
    where = torch.randn(SIDE * SIDE, WIDTH, generator=generator)
    noise = torch.randn(4, *what.shape, generator=generator)
    features = torch.stack(
        [what + 0.3 * noise[0], what + 1.2 * noise[1], noise[2], where + 0.3 * noise[3]]
    )
    left = torch.arange(SIDE * SIDE).view(SIDE, SIDE)[2:, 2:].flatten()
    again = torch.randn(features.shape, generator=generator)
    moved = torch.stack([what, what, again[2], where.expand_as(what)]) + 0.3 * again
    words = torch.nn.functional.normalize(torch.randn(CLASSES, 12, generator=generator), dim=-1)
    blurred = words[labels].flatten(1, 2)
    blurred = blurred + 0.1 * torch.randn(blurred.shape, generator=generator)
    return Observation(
        pixels=pixels,
        grid=(SIDE, SIDE),
        features=features,
        moved=moved[:, :, left],
        left=left,
        embeddings=torch.nn.functional.normalize(blurred, dim=-1),
        texts=words,
    )


@pytest.mark.parametrize("name", RANKINGS)
def test_the_head_that_sees_things_beats_noise(name: str) -> None:
    scores = RANKINGS[name].score(planted())
    assert scores.shape == (4,)
    assert scores[GOOD] > scores[NOISE]


@pytest.mark.parametrize("name", ["clusters", "colours", "equivariance", "words"])
def test_order_of_planted_heads(name: str) -> None:
    good, fair, noise, place = RANKINGS[name].score(planted()).tolist()
    assert good > fair > max(noise, place)


def test_place_alone_is_smooth_for_some_but_never_equivariant() -> None:
    seen = planted()
    still = cosine_maps(seen.features[PLACE][:, seen.left])
    assert agreement(still, cosine_maps(seen.moved[PLACE])) > 0.5  # stable, but empty
    assert abs(RANKINGS["equivariance"].score(seen)[PLACE]) < 0.1


@pytest.mark.parametrize("name", RANKINGS)
def test_scores_ignore_the_scale_of_a_head_and_follow_its_order(name: str) -> None:
    seen, order = planted(), [2, 0, 3, 1]
    scores = RANKINGS[name].score(seen)
    swapped = replace(seen, features=7 * seen.features[order], moved=7 * seen.moved[order])
    torch.testing.assert_close(RANKINGS[name].score(swapped), scores[order], rtol=0, atol=2e-5)


def test_agreement_is_pearsons_correlation() -> None:
    first, second = symmetric(3, seed=0), symmetric(3, seed=1)
    upper = np.triu_indices(9, k=1)
    expected = [
        pearsonr(a.numpy()[upper], b.numpy()[upper])[0] for a, b in zip(first, second, strict=True)
    ]
    assert float(agreement(first, second)) == pytest.approx(np.mean(expected), abs=1e-6)
    assert float(agreement(first, 3 * first + 2)) == pytest.approx(1)
    assert float(agreement(first, torch.ones(3, 9, 9))) == 0


def test_appearance_patch_by_patch() -> None:
    pixels = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    found = appearance(pixels, (2, 3))
    cell = pixels[1, :, 4:8, 8:12].flatten(1)
    expected = torch.cat([cell.mean(dim=1), cell.std(dim=1, correction=0)])
    torch.testing.assert_close(found[1, 1 * 3 + 2], expected)


def test_neighbours_of_a_small_grid() -> None:
    near = neighbours((2, 3))
    assert near.sum(dim=1).tolist() == [3, 5, 3, 3, 5, 3]
    assert not near.diagonal().any()
    assert not near[0, 2]
    assert near[0, 4]


def test_smoothness_of_shuffled_places_is_none() -> None:
    seen = planted()
    shuffled = seen.features[:, :, torch.randperm(64, generator=torch.Generator().manual_seed(3))]
    scores = RANKINGS["smoothness"].score(replace(seen, features=shuffled))
    assert RANKINGS["smoothness"].score(seen)[GOOD] > 0.2
    assert scores.abs().max() < 0.1


def test_clusters_find_separate_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(5, (200,), generator=generator)
    points = torch.eye(5, 8)[truth] + 0.1 * torch.randn(200, 8, generator=generator)
    scale = torch.rand(200, 1, generator=generator) + 0.5
    assert adjusted_rand_score(truth, clusters(points * scale, 5)) == 1
    assert clusters(points, 1).unique().tolist() == [0]
    assert sorted(clusters(points[:4], 4).tolist()) == [0, 1, 2, 3]


def test_pseudo_label_auc_is_near_that_of_all_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (4, 20), generator=generator)
    labels[0, :5] = UNLABELLED
    features = torch.randn(2, 4, 20, 6, generator=generator)
    features[0] += torch.randn(3, 6, generator=generator)[labels.clamp_min(0)]
    found = pseudo_label_auc(features, labels)
    for head in range(2):
        kept = labels.flatten() != UNLABELLED
        unit = torch.nn.functional.normalize(features[head].flatten(0, 1)[kept], dim=-1)
        names = labels.flatten()[kept]
        first, second = np.triu_indices(len(names), k=1)
        same = (names[first] == names[second]).numpy()
        exact = roc_auc_score(same, (unit @ unit.T)[first, second].numpy())
        assert float(found[head]) == pytest.approx(exact, abs=0.02)
    assert pseudo_label_auc(features, torch.zeros_like(labels)).isnan().all()


def test_confident_words_are_the_surer_half() -> None:
    texts = torch.eye(3)
    sure, unsure = torch.tensor([0.0, 1, 0]), torch.tensor([0.7, 0.71, 0.05])
    words = confident_words(torch.stack([sure, unsure, sure, unsure])[None], texts)
    assert words.tolist() == [[1, UNLABELLED, 1, UNLABELLED]]


def test_gaps_of_separate_groups() -> None:
    groups = torch.block_diag(*[torch.ones(4, 4)] * 3)
    assert float(gaps(groups[None])[0]) == pytest.approx(1, abs=1e-5)
    assert float(gaps(torch.ones(1, 12, 12))[0]) == pytest.approx(0, abs=1e-5)
    opposite = 2 * groups - 1  # dissimilar patches do not belong together more than strangers
    assert float(gaps(opposite[None])[0]) == pytest.approx(1, abs=1e-5)


def test_consensus_is_the_mean_alignment_of_kernels() -> None:
    seen = planted()
    kernels = []
    for features in seen.features.flatten(1, 2):
        unit = torch.nn.functional.normalize(features - features.mean(dim=0), dim=-1)
        kernels.append((unit @ unit.T).double())
    expected = [
        sum(float((a * b).sum() / (a.norm() * b.norm())) for b in kernels) / len(kernels)
        for a in kernels
    ]
    assert consensus(seen.features).tolist() == pytest.approx(expected, abs=1e-5)


def test_mean_of_ranks_counts_places() -> None:
    first = {"a": 0.9, "b": 0.5, "c": 0.1}
    second = {"a": -3.0, "b": 7.0, "c": -9.0}
    assert mean_of_ranks({"x": first, "y": second}) == {"a": -0.5, "b": -0.5, "c": -2}
    assert mean_of_ranks({"x": first}) == {"a": 0, "b": -1, "c": -2}


def symmetric(count: int, *, seed: int) -> Tensor:
    maps = torch.randn(count, 9, 9, generator=torch.Generator().manual_seed(seed))
    return maps + maps.transpose(1, 2)


def words() -> Tensor:
    """Six that random pictures do show to this tower: embeddings of patches of one."""
    return observe(VISION, tiny_pixels(1, seed=9)).embeddings[0, :6]


@torch.inference_mode()
def test_moved_patches_are_back_where_they_came_from() -> None:
    pixels = tiny_pixels(2, 32, 48)  # 4 x 6 patches; one row and two columns are cut
    seen = observe(VISION, pixels)
    assert seen.left.tolist() == [row * 6 + column for row in range(1, 4) for column in range(2, 6)]
    moved = pixels[..., PATCH:, 2 * PATCH :].flip(-1)
    step = next(step for step in trace(VISION, moved) if step.layer == 2)
    features = step.head_features[:, 3].unflatten(1, (3, 4))
    place = heads_before(VISION).index((2, 4))
    back = seen.moved[place].unflatten(1, (3, 4))
    for column in range(4):
        torch.testing.assert_close(back[:, :, column], features[:, :, 3 - column])


def test_every_head_before_the_last_layer_gets_every_score() -> None:
    found = rank_by_all(VISION, [tiny_pixels(4), tiny_pixels(4, seed=2)], texts=words())
    assert set(found) == {*RANKINGS, MEAN_OF_RANKS}
    heads = {(layer, head) for layer in range(1, LAYERS) for head in range(1, HEADS + 1)}
    for scores in found.values():
        assert set(scores) == heads
        assert torch.tensor(list(scores.values())).isfinite().all()
    singles = {name: found[name] for name in RANKINGS}
    assert found[MEAN_OF_RANKS] == mean_of_ranks(singles)


def test_without_words_all_others_remain_and_agree() -> None:
    batches = [tiny_pixels(4)]
    bare = rank_by_all(VISION, batches)
    assert set(bare) == {*RANKINGS, MEAN_OF_RANKS} - {"words"}
    alone = rank_by_all(VISION, batches, rankings=["colours"])
    assert alone == {"colours": bare["colours"]}


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="clusters"):
        rank_by_all(VISION, [tiny_pixels(4)], rankings=["cluster"])
    with pytest.raises(InputError, match="needs words"):
        rank_by_all(VISION, [tiny_pixels(4)], rankings=["words"])
    with pytest.raises(InputError, match="'words' found nothing"):
        rank_by_all(VISION, [tiny_pixels(4)], texts=words()[:1], rankings=["words"])
