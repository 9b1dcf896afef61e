"""SSR: the balance between the residual stream and what a layer adds."""

from __future__ import annotations

import pytest
import torch

from lhtclip.techniques.ssr import SsrSettings, reweight


def stream() -> tuple[torch.Tensor, torch.Tensor]:
    x, update = torch.randn(2, 2, 5, 16, generator=torch.Generator().manual_seed(0))
    return x, update


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_is_the_plain_residual_bitwise(dtype: torch.dtype) -> None:
    x, update = (t.to(dtype) for t in stream())
    assert torch.equal(reweight(x, update, 0.0), x + update)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 1.0, -0.1])
def test_reweighting_is_its_formula(alpha: float) -> None:
    x, update = stream()
    expected = torch.empty(x.shape, dtype=torch.float64)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in x.shape)).tolist():
        at = tuple(place)
        expected[at] = (1 + alpha) * float(x[at]) + (1 - alpha) * float(update[at])
    given = reweight(x, update, alpha)
    torch.testing.assert_close(given.double(), expected, rtol=1e-6, atol=1e-6)


def test_dtype_stays() -> None:
    x, update = (t.bfloat16() for t in stream())
    assert reweight(x, update, 0.1).dtype == torch.bfloat16


def test_published_alpha() -> None:
    assert SsrSettings(layers=(10, 11)).alpha == 0.1
