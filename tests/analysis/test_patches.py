"""Windows and patch labels of a data set, on the package's own scenes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from lhtclip.analysis.discriminability import UNLABELLED
from lhtclip.analysis.patches import image_files, patch_batches, window_batches
from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.checkpoints.hub import resolve
from lhtclip.datasets import Dataset, open_dataset

CHECKPOINT = load_checkpoint(resolve("bundled"))


def scenes(count: int) -> Dataset:
    dataset = open_dataset("scenes")
    return replace(dataset, samples=dataset.samples[:count])


def test_windows_cover_the_picture_and_carry_its_labels() -> None:
    dataset = scenes(2)
    batches = list(patch_batches(dataset, CHECKPOINT, batch=3))
    assert [len(batch.pixels) for batch in batches] == [3, 1]  # 224 x 299: two windows a scene
    pixels = torch.cat([batch.pixels for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    offered = torch.cat([batch.offered for batch in batches])
    assert pixels.shape == (4, 3, 224, 224)
    assert labels.shape == (4, 14, 14)
    for window, sample in enumerate(dataset.samples[i // 2] for i in range(4)):
        assert sample.candidates
        assert set(offered[window].nonzero()[:, 0].tolist()) == set(sample.candidates)
        found = set(labels[window].unique().tolist()) - {UNLABELLED}
        assert found
        assert found <= set(np.unique(sample.truth()).tolist()) - {255}


def test_unlabelled_pictures_give_the_same_windows() -> None:
    dataset = scenes(2)
    labelled = torch.cat([batch.pixels for batch in patch_batches(dataset, CHECKPOINT)])
    unlabelled = torch.cat(list(window_batches(image_files(dataset), CHECKPOINT)))
    assert torch.equal(labelled, unlabelled)


def test_uncounted_truth_is_unlabelled() -> None:
    dataset = scenes(1)
    sample = dataset.samples[0]
    blank = replace(sample, truth=lambda: np.full_like(sample.truth(), 255))
    (batch,) = patch_batches(replace(dataset, samples=(blank,)), CHECKPOINT)
    assert (batch.labels == UNLABELLED).all()
