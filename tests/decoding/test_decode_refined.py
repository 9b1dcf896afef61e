"""Decoding with PAMR, against the shared protocol's steps done one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.decoding import decode as module
from lhtclip.decoding.decode import TILES, TileSize, decode
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.errors import InputError
from lhtclip.image.windows import WindowPlan, plan_windows
from tests.held import Held
from tests.literal import pamr as literal

PAMR = PamrSettings(iterations=2, dilations=(1, 3))
SYNONYMS = (0, 0, 1, 2, 2)
SIZE = (25, 33)


@pytest.fixture
def plan() -> WindowPlan:
    return plan_windows(20, 26, window=16, stride=8)


@pytest.fixture
def logits(plan: WindowPlan) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (len(plan.tops), len(plan.lefts), 4, 4, len(SYNONYMS))
    return 0.2 + 0.04 * torch.randn(*shape, generator=generator)


@pytest.fixture
def image(plan: WindowPlan) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 4, 5, generator=generator)
    return F.interpolate(coarse, size=(plan.height, plan.width), mode="bilinear")[0]


def planes_slowly(
    logits: Tensor, plan: WindowPlan, image: Tensor, scale: float
) -> NDArray[np.float64]:
    """Upsample, average, resize and refine all queries; softmax (queries, height, width)."""
    total = torch.zeros(logits.shape[-1], plan.height, plan.width, dtype=torch.float64)
    count = torch.zeros(plan.height, plan.width, dtype=torch.float64)
    size = (plan.window_height, plan.window_width)
    for i, top in enumerate(plan.tops):
        for j, left in enumerate(plan.lefts):
            crop = logits[i, j].double().permute(2, 0, 1)[None]
            crop = F.interpolate(crop, size=size, mode="bilinear", align_corners=False)[0]
            total[:, top : top + size[0], left : left + size[1]] += crop
            count[top : top + size[0], left : left + size[1]] += 1
    mean = F.interpolate((total / count)[None], size=SIZE, mode="bilinear", align_corners=False)[0]
    guide = F.interpolate(image.double()[None], size=SIZE, mode="bilinear", align_corners=False)[0]
    refined = literal.refine(mean.numpy(), guide.numpy(), PAMR.iterations, PAMR.dilations)
    return torch.softmax(scale * torch.from_numpy(refined), dim=0).numpy()


@pytest.mark.parametrize("settings", [DecodeSettings(), DecodeSettings(65.0, 0.4)], ids=str)
def test_refined_as_the_protocol_says(
    logits: Tensor, plan: WindowPlan, image: Tensor, settings: DecodeSettings
) -> None:
    probabilities = planes_slowly(logits, plan, image, settings.logit_scale)
    planes = np.stack([probabilities[:2].max(0), probabilities[2], probabilities[3:].max(0)])
    expected = np.where(planes.max(0) < settings.threshold, 0, planes.argmax(0))
    how = DecodeSettings(settings.logit_scale, settings.threshold, pamr=PAMR)
    labels, scores = decode(logits, plan, SIZE, SYNONYMS, 3, how, image=image)
    np.testing.assert_allclose(scores, planes.max(0), rtol=0, atol=1e-4)
    ordered = np.sort(planes, axis=0)
    gap = np.minimum(ordered[-1] - ordered[-2], abs(ordered[-1] - settings.threshold))
    assert (gap > 1e-5).mean() > 0.99
    np.testing.assert_array_equal(labels[gap > 1e-5], expected[gap > 1e-5])
    plain, _ = decode(logits, plan, SIZE, SYNONYMS, 3, settings)
    assert (plain != labels).any()


@pytest.mark.parametrize("how", [DecodeSettings(threshold=0.3), DecodeSettings(area_threshold=0.3)])
@pytest.mark.parametrize(("tile", "band"), [(1, 10**9), (3000, 10**9), (10**9, 1), (2000, 600)])
def test_groups_of_queries_and_bands_of_rows_do_not_show(
    logits: Tensor,
    plan: WindowPlan,
    image: Tensor,
    how: DecodeSettings,
    tile: int,
    band: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = DecodeSettings(40.0, how.threshold, how.area_threshold, PAMR)
    options = (logits, plan, SIZE, SYNONYMS, 3, how)
    labels, scores = decode(*options, image=image)
    monkeypatch.setitem(TILES, "cpu", TileSize(tile, 64))
    monkeypatch.setattr(module, "BAND_PIXELS", band)
    parted_labels, parted_scores = decode(*options, image=image)
    np.testing.assert_allclose(parted_scores, scores, rtol=0, atol=1e-5)
    assert (parted_labels == labels).mean() > 0.995


def test_area_threshold_strikes_after_refining(plan: WindowPlan, image: Tensor) -> None:
    whole = plan_windows(20, 26, window=None, stride=1)
    logits = torch.zeros(1, 1, 20, 26, 3)
    logits[..., 1] = 0.3
    logits[0, 0, 10:12, 10:12, 2] = 1.2  # a speck of class 2 on class 1
    options = (logits, whole, (20, 26), (0, 1, 2), 3)
    flat = torch.zeros_like(image)
    plain, _ = decode(*options, DecodeSettings())
    assert (plain == 2).sum() == 4
    kept, _ = decode(*options, DecodeSettings(pamr=PamrSettings(1, (1,))), image=flat)
    assert 2 in kept
    struck, scores = decode(
        *options, DecodeSettings(area_threshold=0.1, pamr=PamrSettings(1, (1,))), image=flat
    )
    assert set(struck.flat) == {1}
    assert scores[10, 10] < 0.1  # the struck class still takes its share of the softmax


def test_pamr_needs_the_image(logits: Tensor, plan: WindowPlan) -> None:
    with pytest.raises(InputError, match="image"):
        decode(logits, plan, SIZE, SYNONYMS, 3, DecodeSettings(pamr=PAMR))


def test_planes_of_all_prompts_are_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """113 prompts on 480 × 640 pixels: their planes are 139 MB, and refining would double that."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)  # each takes a group of planes
    plan = plan_windows(84, 112, window=56, stride=28)
    logits = torch.rand(len(plan.tops), len(plan.lefts), 4, 4, 113) / 2
    how = DecodeSettings(pamr=PamrSettings(1, (8, 16)))
    classes = tuple(range(113))
    with Held() as held:
        decode(logits, plan, (480, 640), classes, 113, how, image=torch.rand(3, 84, 112))
    assert 20e6 < held.peak < 130e6
