"""Text-aware label propagation against its literal version, and what its formula implies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.decoding.decode import decode
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.decoding.tlp import TlpSettings, propagate
from lhtclip.errors import InputError
from lhtclip.image.windows import plan_windows
from tests.decoding.full_size import full_size
from tests.literal import tlp as literal

QUERIES = 5


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TEXTS = F.normalize(noise(QUERIES, 8, seed=2), dim=1)


@pytest.mark.parametrize("spread", [0.1, 20.0])  # cosines, and scores that decide
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("grid", [(6, 9), (1, 7), (5, 1), (1, 1)])
def test_propagation_is_its_formula(grid: tuple[int, int], pairs: bool, spread: float) -> None:
    scores, image = spread * noise(QUERIES, *grid), noise(3, *grid, seed=1)
    expected = literal.propagate(
        scores.numpy(), TEXTS.numpy(), image.numpy(), iterations=7, pairs=pairs
    )
    given = propagate(scores, TEXTS, image, TlpSettings(iterations=7, pairs=pairs))
    np.testing.assert_allclose(given.numpy(), expected, rtol=0, atol=1e-9 * spread)


def test_many_steps_solve_the_system() -> None:
    scores, image = noise(QUERIES, 6, 9), noise(3, 6, 9, seed=1)
    matrix, trust = literal.system(scores.numpy(), TEXTS.numpy(), image.numpy(), pairs=False)
    exact = np.linalg.solve(matrix, trust[:, None] * scores.flatten(1).T.numpy())
    given = propagate(scores, TEXTS, image, TlpSettings(iterations=400))
    np.testing.assert_allclose(given.flatten(1).T.numpy(), exact, rtol=0, atol=1e-9)


def test_constant_scores_stay() -> None:
    scores = noise(QUERIES, 1, 1).expand(QUERIES, 6, 9)
    given = propagate(scores, TEXTS, noise(3, 6, 9, seed=1), TlpSettings())
    torch.testing.assert_close(given, scores)


def test_scores_spread_in_flat_regions_and_stop_at_edges() -> None:
    image = torch.zeros(3, 6, 12, dtype=torch.float64)
    image[:, :, 6:] = 1
    scores = torch.zeros(2, 6, 12, dtype=torch.float64)
    scores[0, 3, 2] = 1.0  # one sure pixel on the left
    given = propagate(scores, TEXTS[:2], image, TlpSettings())[0]
    assert given[:, :6].min() > 10 * given[:, 6:].max()
    assert given[3, 2] < 0.5


def test_decoding_with_it() -> None:
    """The steps of the released code: full size, pooling, propagation, full size again."""
    plan, size = plan_windows(48, 64, window=32, stride=16), (61, 83)
    logits = 0.2 + 0.04 * noise(2, 3, 4, 4, QUERIES).float()
    image, settings = noise(3, 48, 64, seed=1).float(), TlpSettings(grid=20)
    pooled = literal.pooled(full_size(logits, plan, size).double().numpy(), 20)
    guide = F.interpolate(image[None], size=size, mode="bilinear")[0].double().numpy()
    solved = literal.propagate(
        pooled, TEXTS.numpy(), literal.pooled(guide, 20), iterations=settings.iterations
    )
    large = F.interpolate(torch.from_numpy(solved)[None], size=size, mode="bilinear")[0]
    chances = (40 * large).softmax(dim=0)
    labels, scores = decode(
        logits,
        plan,
        size,
        tuple(range(QUERIES)),
        QUERIES,
        DecodeSettings(tlp=settings),
        image=image,
        texts=TEXTS.float(),
    )
    np.testing.assert_allclose(scores, chances.amax(dim=0).numpy(), rtol=0, atol=1e-5)
    best = chances.topk(2, dim=0).values
    sure = (best[0] - best[1] > 1e-5).numpy()
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(labels[sure], chances.argmax(dim=0).numpy()[sure])


def test_what_it_needs_and_what_excludes_it() -> None:
    with pytest.raises(InputError, match="grid must be at least 1, not 0"):
        TlpSettings(grid=0)
    with pytest.raises(InputError, match="PAMR and TLP both"):
        DecodeSettings(pamr=PamrSettings(), tlp=TlpSettings())
    plan = plan_windows(32, 32, window=32, stride=16)
    settings = replace(DecodeSettings(), tlp=TlpSettings())
    with pytest.raises(InputError, match="TLP needs the resized image"):
        decode(torch.zeros(1, 1, 4, 4, 2), plan, (32, 32), (0, 1), 2, settings)
