"""Labels of patches against loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.patch_labels import label_patches, most_frequent
from tests.literal import feedback


@pytest.mark.parametrize("size", [(12, 16), (13, 18), (4, 4)])
def test_most_frequent_label_of_each_patch(size: tuple[int, int]) -> None:
    labels = torch.randint(7, size, generator=torch.Generator().manual_seed(0))
    expected = feedback.patch_labels(labels.numpy(), 4)
    np.testing.assert_array_equal(most_frequent(labels, 4, 7).numpy(), expected)


def test_of_equally_frequent_labels_the_lowest_counts() -> None:
    labels = torch.tensor([[3, 3, 5, 0], [1, 1, 5, 0]])
    assert most_frequent(labels, 2, 6).tolist() == [[1, 0]]


@pytest.mark.parametrize("size", [(12, 16), (14, 19)])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_labels_are_those_of_the_protocol(size: tuple[int, int], threshold: float) -> None:
    """Cosines, upsampled, refined, softmax, threshold, mode; patches of 4 pixels."""
    generator = torch.Generator().manual_seed(0)
    texts = F.normalize(torch.randn(4, 8, generator=generator), dim=1)
    noise = torch.randn(2, size[0] // 4, size[1] // 4, 8, generator=generator)
    embeddings = F.normalize(texts.mean(dim=0) + 0.3 * noise, dim=-1)  # cosines spread as CLIP's
    windows = F.interpolate(torch.randn(2, 3, 3, 3, generator=generator), size)
    found = label_patches(
        embeddings,
        texts,
        windows,
        patch=4,
        logit_scale=20.0,
        threshold=threshold,
        pamr=PamrSettings(2, (1, 2)),
    )
    logits = (embeddings.double() @ texts.double().T).permute(0, 3, 1, 2)
    upsampled = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    for planes, image, labels in zip(upsampled, windows, found, strict=True):
        pixels = feedback.pixel_labels(
            planes.numpy(),
            image.double().numpy(),
            scale=20.0,
            threshold=threshold,
            iterations=2,
            dilations=(1, 2),
        )
        np.testing.assert_array_equal(labels.numpy(), feedback.patch_labels(pixels, 4))
    assert len(found.unique()) > 1
