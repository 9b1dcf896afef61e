"""How the head rankings are compared: mIoU of resampled scenes, and means of differences."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.label_free_heads.compare import Result, Row, model_table, summary
from experiments.label_free_heads.how_many_images import parts
from experiments.label_free_heads.resampling import interval, resampled_mean_iou
from lhtclip.datasets.scenes import read_scenes
from lhtclip.evaluation.confusion import mean_iou
from lhtclip.techniques.presets import preset_by_depth


def scene_matrices(scenes: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 50, size=(scenes, 5, 5))


def counts(matrices: np.ndarray) -> np.ndarray:
    right = matrices.diagonal(axis1=1, axis2=2)
    return np.stack([right, matrices.sum(axis=1) + matrices.sum(axis=2) - right], axis=1)


def test_first_value_is_the_mean_iou_of_all_scenes() -> None:
    matrices = scene_matrices(7, seed=0)
    found = resampled_mean_iou(counts(matrices))
    assert found[0] == pytest.approx(100 * mean_iou(matrices.sum(axis=0)))
    assert found[1:].min() < found[0] < found[1:].max()


def test_classes_that_nowhere_occur_do_not_count() -> None:
    matrices = scene_matrices(3, seed=0)
    matrices[:, 4, :] = matrices[:, :, 4] = 0
    found = resampled_mean_iou(counts(matrices))
    assert found[0] == pytest.approx(100 * mean_iou(matrices.sum(axis=0)))
    assert np.isfinite(found).all()


def test_scenes_are_resampled_alike() -> None:
    matrices = scene_matrices(9, seed=1)
    again = resampled_mean_iou(counts(matrices))
    assert (again == resampled_mean_iou(counts(matrices))).all()
    value, low, high = interval(again)
    assert low < value < high


def test_parts_of_pictures_do_not_overlap() -> None:
    scenes = read_scenes()  # 24 of them
    keys = [[sample.key for sample in part.samples] for part in parts(scenes, 5)]
    assert [len(part) for part in keys] == [5, 5, 5, 5]
    assert len({key for part in keys for key in part}) == 20
    assert [len(part.samples) for part in parts(scenes, 10)] == [10, 10]
    assert list(parts(scenes, 25)) == []


def test_tables_show_differences_from_the_labelled_ranking() -> None:
    labelled = resampled_mean_iou(counts(scene_matrices(9, seed=1)))
    heads = ((1, 1), (2, 3))
    rows = {
        "labelled": Row(1.0, 1.0, heads, {"a": labelled, "b": labelled}),
        "better": Row(0.5, 0.5, heads, {"a": labelled + 0.25, "b": labelled + 0.75}),
        "no SHE": Row(np.nan, np.nan, (), {"a": labelled - 1, "b": labelled - 1}),
    }
    results = [Result(name, preset_by_depth(8), 0.9, rows) for name in ("first", "second")]
    table = list(model_table(results[0]))
    expected = f"| better | 0.50 | 0.50 | {labelled[0] + 0.25:.2f} (+0.25, +0.25 to +0.25) |"
    assert table[-3].startswith(expected)
    means = list(summary(results))
    assert means[-2].startswith("| better | 0.50 | 0.50 | +0.50 (")  # of 0.25, 0.75, 0.25, 0.75
    assert "+0.58 (" in means[-2]  # without the first 0.25
    assert means[-1].startswith("| no SHE |  |  | -1.00 (")
    record = results[0].record()["rows"]["better"]["mean_iou"]["b"]
    assert record["difference"] == pytest.approx((0.75, 0.75, 0.75))
