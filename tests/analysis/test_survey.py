"""The one pass against measures taken layer by layer and head by head, the slow way."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.analysis.alignment import correct_patches, shortcut_embeddings
from lhtclip.analysis.compare import best_first, overlap, spearman
from lhtclip.analysis.discriminability import UNLABELLED
from lhtclip.analysis.survey import PatchBatch, survey
from lhtclip.analysis.trace import trace
from lhtclip.techniques.atr import AtrSettings, replace_abnormal
from lhtclip.techniques.ssr import SsrSettings
from tests.analysis.exact_auc import pair_auc
from tests.models import HEADS, LAYERS, tiny_clip, tiny_pixels

MODEL = tiny_clip()
VISION = MODEL.vision


def batch(windows: int = 3, classes: int = 4) -> PatchBatch:
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(-1, classes, (windows, 4, 4), generator=generator)
    offered = torch.ones(windows, classes, dtype=torch.bool)
    return PatchBatch(tiny_pixels(windows, 32, 32), labels, offered)


def test_trace_is_the_towers_own_forward() -> None:
    pixels = tiny_pixels()
    x = VISION.embed(pixels)
    for step, block in zip(trace(VISION, pixels), VISION.blocks, strict=True):
        torch.testing.assert_close(step.entering, x)
        x = block(x)
        torch.testing.assert_close(step.stream, x)
        torch.testing.assert_close(step.patches, x[:, 1:])


def test_head_features_keep_all_angles_and_lengths_of_the_contributions() -> None:
    for step in trace(VISION, tiny_pixels()):
        outputs = step.head_outputs[:, :, 1:]
        full = step.block.attention.contributions(outputs, range(HEADS))
        small = step.head_features
        assert small.shape[-1] == full.shape[-1] // HEADS
        torch.testing.assert_close(
            small @ small.transpose(-1, -2), full @ full.transpose(-1, -2), rtol=1e-4, atol=1e-4
        )


def test_attention_received_is_the_column_sum_of_the_map() -> None:
    step = next(trace(VISION, tiny_pixels(1)))
    attention, x = step.block.attention, step.block.norm1(step.entering)
    queries, keys = attention.queries(x)[0], attention.keys(x)[0]
    expected = torch.zeros(queries.shape[1])
    for head in range(HEADS):
        for i in range(queries.shape[1]):
            expected += (attention.scale * keys[head] @ queries[head, i]).softmax(0) / HEADS
    torch.testing.assert_close(step.attention_received[0], expected)
    assert step.attention_received.mean() == pytest.approx(1)


def test_survey_is_near_all_pairs_of_the_same_batch() -> None:
    given = batch(6)
    result = survey(VISION, [given])
    labels = given.labels.flatten()
    for step in trace(VISION, given.pixels):
        exact = pair_auc(step.patches.flatten(0, 1), labels)
        assert result.layers[step.layer].auc == pytest.approx(exact, abs=0.03)
        full = step.block.attention.contributions(step.head_outputs[:, :, 1:], range(HEADS))
        for head in range(HEADS):
            exact = pair_auc(full[:, head].flatten(0, 1), labels)
            assert result.heads[step.layer, head + 1].auc == pytest.approx(exact, abs=0.03)
    assert len(result.ranking()) == HEADS * (LAYERS - 1)
    assert result.alignment == {}


def test_atr_inside_heads_is_that_of_the_whole_contribution() -> None:
    given, atr = batch(4), AtrSettings(threshold=0.3)
    result = survey(VISION, [given], atr=atr)
    changed = 0
    for step in trace(VISION, given.pixels):
        full = step.block.attention.contributions(step.head_outputs[:, :, 1:], range(HEADS))
        for head in range(HEADS):
            replaced = replace_abnormal(full[:, head], (4, 4), atr)
            changed += not torch.equal(replaced, full[:, head])
            exact = pair_auc(replaced.flatten(0, 1), given.labels.flatten())
            assert result.heads[step.layer, head + 1].auc == pytest.approx(exact, abs=0.04)
    assert changed


def test_ssr_changes_the_layers_from_its_first_on() -> None:
    given = batch(4)
    plain, reweighted = (
        survey(VISION, [given]),
        survey(VISION, [given], ssr=SsrSettings(layers=(3, 4), alpha=0.3)),
    )
    same = {layer: plain.layers[layer] == reweighted.layers[layer] for layer in plain.layers}
    assert same == {1: True, 2: True, 3: False, 4: False, 5: False}


def shortcut(token: Tensor) -> Tensor:
    """One token through LN1, W_v, W_o, the final norm and the projection, by hand."""
    block = VISION.blocks[-1]
    attention = block.attention
    width = len(token)
    values = attention.in_projection.weight[2 * width :] @ block.norm1(token)
    values = values + attention.in_projection.bias[2 * width :]
    out = attention.out_projection.weight @ values + attention.out_projection.bias
    return F.normalize(VISION.projection.weight @ VISION.final_norm(out), dim=0)


def test_alignment_by_hand() -> None:
    given = batch(3)
    generator = torch.Generator().manual_seed(8)
    texts = F.normalize(torch.randn(6, 24, generator=generator), dim=-1)
    class_of_query = torch.tensor([0, 0, 1, 2, 3, 3])
    given.offered[1] = torch.tensor([True, False, True, False])
    result = survey(VISION, [given], words=(texts, class_of_query))
    assert sorted(result.alignment) == list(range(1, LAYERS))
    labels = given.labels.flatten(1)
    for step in trace(VISION, given.pixels):
        if step.layer == LAYERS:
            continue
        right = total = 0
        for window in range(3):
            for patch in range(16):
                if labels[window, patch] == UNLABELLED:
                    continue
                cosines = texts @ shortcut(step.patches[window, patch])
                for query in range(6):
                    if not given.offered[window, class_of_query[query]]:
                        cosines[query] = -math.inf
                right += int(class_of_query[cosines.argmax()] == labels[window, patch])
                total += 1
        assert result.alignment[step.layer] == pytest.approx(right / total)


def test_correct_patches_counts_only_labelled_ones() -> None:
    embeddings = torch.eye(3)[None]
    labels = torch.tensor([[0, UNLABELLED, 1]])
    assert correct_patches(embeddings, torch.eye(3), torch.arange(3), labels) == (1, 2)


def test_shortcut_is_of_unit_length() -> None:
    lengths = shortcut_embeddings(VISION, torch.randn(2, 5, 64)).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(2, 5))


def test_spearman_is_scipys_with_ties() -> None:
    from scipy.stats import spearmanr

    first = dict(enumerate([3.0, 1.0, 1.0, 4.0, 5.0, 9.0, 2.0]))
    second = dict(enumerate([2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 2.0]))
    expected = spearmanr(list(first.values()), list(second.values())).statistic
    assert spearman(first, second) == pytest.approx(float(expected))
    assert spearman(first, {0: 1.0, 1: 0.0, 99: 5.0}) == pytest.approx(1.0)
    assert math.isnan(spearman(first, dict.fromkeys(first, 1.0)))


def test_overlap_and_order() -> None:
    assert best_first({"a": 1.0, "b": 3.0, "c": 1.0}) == ["b", "a", "c"]
    assert overlap("abcd", "badc", count=2) == 1.0
    assert overlap("abcd", "cdab", count=2) == 0.0
    assert overlap("ab", "bcd", count=10) == 0.5
