"""TLP, text-aware label propagation: scores spread over an image where neither it nor they change.

The second half of PEARL (arXiv 2603.21528). On a coarse grid of pixels i with scores Z, and with
the chances p = softmax(Z) over prompts, it solves

    (C + L) F = C Z,  C_i = max(max p_i, 0.05)² (1 + p_iᵀ G p_i),

where L is the Laplacian of the 4 neighbours with weights

    w_ij = min(1, exp(-5 |grey_i - grey_j| / mean) (1 + p_iᵀ G p_j)),

and G the similarity of the prompts, each row of softmax(T Tᵀ / 0.5) + 10 I divided by its sum. As
in the released code, Z are cosines without a scale, and conjugate gradients stop after 25 steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lhtclip.decoding.pooling import pooled_image, pooled_logits
from lhtclip.errors import InputError, is_whole
from lhtclip.image.windows import WindowPlan

_LEAST_TRUST = 0.05
_SHARPNESS = 5.0  # of edges of the image
_TEMPERATURE = 0.5  # of the similarity of prompts
_OWN = 10.0  # added to a prompt's similarity to itself
_GREY = (0.299, 0.587, 0.114)
_EPSILON = 1e-6
_TINY = 1e-30  # keeps steps after an exact solution finite


@dataclass(frozen=True, slots=True)
class TlpSettings:
    """Settings of TLP, the published ones by default.

    Attributes:
        grid: About how many cells the grid has along a side. PEARL takes 224 on Cityscapes.
        iterations: Steps of conjugate gradients.
        pairs: Whether different prompts support each other, as the formula says. The released code
            uses the diagonal of G only, and the published numbers come from it.
    """

    grid: int = 80
    iterations: int = 25
    pairs: bool = False

    def __post_init__(self) -> None:
        """Validate the settings."""
        for name in ("grid", "iterations"):
            if not is_whole(getattr(self, name)):
                raise InputError(f"TLP's {name} must be at least 1, not {getattr(self, name)!r}.")
        if type(self.pairs) is not bool:
            raise InputError(f"TLP's pairs must be True or False, not {self.pairs!r}.")


def propagated(
    scales: Sequence[tuple[Tensor, WindowPlan]],
    size: tuple[int, int],
    *,
    texts: Tensor,
    image: Tensor,
    settings: TlpSettings,
) -> tuple[Tensor, WindowPlan]:
    """Replace the logits of windows by propagated ones on a coarse grid of the whole image.

    Args:
        scales: For each scale of the image the cosines, float32 (window rows, window columns, grid
            rows, grid columns, Q), and where those windows are in the resized image. Their mean
            is propagated.
        size: Height and width of the original image in pixels.
        texts: Of the prompts, (Q, E), of unit length.
        image: The resized image, normalised, (3, height, width).
        settings: Grid and steps.

    Returns:
        Logits of one window (1, 1, rows, columns, Q), and the plan of that window.
    """
    tall, wide = (max(1, round(length / settings.grid)) for length in size)
    pooled = [pooled_logits(*each, size, (tall, wide)) for each in scales]
    scores = torch.stack(pooled).mean(dim=0) if pooled[1:] else pooled[0]
    guide = pooled_image(image.to(scores), size, (tall, wide))
    found = propagate(scores, texts.to(scores), guide, settings)
    whole = WindowPlan(*size, (0,), (0,), *size)
    return found.permute(1, 2, 0)[None, None], replace(whole, resize=scales[0][1].resize)


def propagate(scores: Tensor, texts: Tensor, image: Tensor, settings: TlpSettings) -> Tensor:
    """Solve (C + L) F = C Z by conjugate gradients, starting at Z.

    Args:
        scores: Z, (Q, rows, columns).
        texts: T, (Q, E), of unit length.
        image: (3, rows, columns).
        settings: Steps, and whether prompts support each other.

    Returns:
        F, (Q, rows, columns).
    """
    chances = scores.softmax(dim=0)
    supported = _supported(chances, texts, pairs=settings.pairs)
    trust = chances.amax(dim=0).clamp_min(_LEAST_TRUST).square()
    trust = trust * (1 + (chances * supported).sum(dim=0).clamp(0, 1))
    red, green, blue = image
    grey = _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue
    down = _weights(grey, chances, supported)
    across = _weights(grey.T, chances.mT, supported.mT).T

    def apply(values: Tensor) -> Tensor:
        return trust * values + _laplacian(values, down, across)

    return _solve(apply, trust * scores, scores, settings.iterations)


def _supported(chances: Tensor, texts: Tensor, *, pairs: bool) -> Tensor:
    """Return G p at every pixel, or diag(G) p: (Q, rows, columns)."""
    similar = (texts @ texts.T / _TEMPERATURE).softmax(dim=1)
    similar = similar + _OWN * torch.eye(len(texts)).to(similar)
    similar = similar / similar.sum(dim=1, keepdim=True)
    if not pairs:
        return similar.diagonal()[:, None, None] * chances
    return (similar @ chances.flatten(1)).view_as(chances)


def _weights(grey: Tensor, chances: Tensor, supported: Tensor) -> Tensor:
    """Return the weight of each pixel and the one below it, (rows - 1, columns)."""
    change = grey.diff(dim=0).abs()
    edges = torch.exp(-_SHARPNESS * change / (change.mean() + _EPSILON))
    alike = (chances[:, 1:] * supported[:, :-1]).sum(dim=0).clamp(0, 1)
    return (edges * (1 + alike)).clamp_max(1)


def _laplacian(values: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return L F: the weighted differences of each pixel to its neighbours."""
    result = torch.zeros_like(values)
    vertical, horizontal = down * values.diff(dim=1), across * values.diff(dim=2)
    result[:, 1:] += vertical
    result[:, :-1] -= vertical
    result[:, :, 1:] += horizontal
    result[:, :, :-1] -= horizontal
    return result


def _solve(apply: Callable[[Tensor], Tensor], target: Tensor, start: Tensor, steps: int) -> Tensor:
    """Take steps of conjugate gradients, all prompts as one system."""
    found, rest = start, target - apply(start)
    direction, squared = rest, rest.square().sum()
    for _ in range(steps):
        ahead = apply(direction)
        length = squared / (direction * ahead).sum().clamp_min(_TINY)
        found, rest = found + length * direction, rest - length * ahead
        before, squared = squared, rest.square().sum()
        direction = rest + squared / before.clamp_min(_TINY) * direction
    return found
