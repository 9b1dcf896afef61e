"""ResCLIP with semantic feedback (SFR, arXiv 2411.15851): a first segmentation steers a second.

The last block runs twice. The first run, with RCS alone, is decoded window by window into one label
a patch. In the second, patches of one label attend to each other more, unless patches of other
labels lie between them.

Three things in the released code are not followed. It looks along a pair's segment with the step of
the longest pair, so it sees the first part of most segments only; here all of it is looked at, as
the paper says. Its switches cannot be switched off. And where memory runs out it goes on without
PAMR.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.decoding.decode import DecodeSettings, decode
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.errors import InputError, is_number
from lhtclip.image.windows import WindowPlan
from lhtclip.methods import resclip
from lhtclip.methods.method import Context, FirstRun, LastAttention, Method
from lhtclip.methods.resclip import RcsSettings

_SIGMA = 5.0  # places in the row by row order of patches


@dataclass(frozen=True, slots=True)
class SfrSettings:
    """Settings of SFR. Those published differ by data set; the defaults are Context-59's.

    scale: τ, which the scores are multiplied by.
    share: λ, how much of the scores the feedback makes up, 0 to 1.
    threshold: A pixel of the first run whose winner has less than this probability counts as the
        first query (temp_thd).
    logit_scale: Factor on the cosines of the first run before its softmax.
    pamr: Refinement of the first run's logits, within each window.
    """

    scale: float = 1.8
    share: float = 0.7
    threshold: float = 0.25
    logit_scale: float = 40.0
    pamr: PamrSettings = field(default_factory=PamrSettings)

    def __post_init__(self) -> None:
        """Refuse a scale that is not above 0, and shares and probabilities that are none."""
        for name in ("scale", "logit_scale"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise InputError(f"SFR's {name} must be above 0, not {value!r}.")
        for name in ("share", "threshold"):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= 1):
                raise InputError(f"SFR's {name} must be from 0 to 1, not {value!r}.")


def mix(
    attention: LastAttention, x: Tensor, context: Context, *, rcs: RcsSettings, sfr: SfrSettings
) -> Tensor:
    """RCS; where there is feedback F, with scores τ [(1 - λ) s K Kᵀ + λ F] + Ω."""
    if context.feedback is None:
        return resclip.mix(attention, x, context, settings=rcs)
    prefix = context.class_tokens
    bias = F.pad(context.feedback.to(x), (prefix, 0, prefix, 0))[:, None]  # alike for all heads
    return resclip.mix(
        attention,
        x,
        context,
        settings=rcs,
        gain=sfr.scale * (1 - sfr.share),
        bias=sfr.scale * sfr.share * bias,
    )


def feedback(first: FirstRun, *, settings: SfrSettings) -> Tensor:
    """Label the patches by the first run, and say which belong together.

    Returns:
        F, (batch, patches, patches) in [0, 1], the largest of each window 1.
    """
    return torch.stack([belonging(labels) for labels in patch_labels(first, settings)])


def patch_labels(first: FirstRun, settings: SfrSettings) -> Iterator[Tensor]:
    """Give each patch the query that most of its pixels have, window by window.

    Yields:
        Indices of queries (rows, columns); the lowest of those that are equally frequent.
    """
    _, _, height, width = first.pixels.shape
    window = WindowPlan(height, width, (0,), (0,), height, width)
    queries = len(first.texts)
    how = DecodeSettings(settings.logit_scale, settings.threshold, pamr=settings.pamr)
    logits = first.embeddings @ first.texts.to(first.embeddings).T
    for own, image in zip(logits, first.pixels, strict=True):
        labels, _ = decode(
            own[None, None],
            window,
            (height, width),
            tuple(range(queries)),
            queries,
            how,
            image=image,
        )
        yield most_frequent(torch.from_numpy(labels).to(own.device), first.patch, queries)


def most_frequent(labels: Tensor, patch: int, queries: int) -> Tensor:
    """Return the most frequent label of each whole patch, the lowest where several are.

    Args:
        labels: (height, width), from 0 to queries - 1.
        patch: Side of a patch in pixels.
        queries: How many labels there can be.

    Returns:
        (height // patch, width // patch).
    """
    blocks = labels.unfold(0, patch, patch).unfold(1, patch, patch).flatten(2)
    counts = torch.zeros(*blocks.shape[:2], queries, dtype=torch.int32, device=labels.device)
    return counts.scatter_add_(2, blocks, torch.ones_like(blocks, dtype=torch.int32)).argmax(dim=2)


def belonging(labels: Tensor) -> Tensor:
    """Say how much patches belong together.

    1 for patches of one label. exp(-distance / largest distance), the distance the larger of those
    in rows and columns, where the straight segment between them leaves that label; else 0. Then
    blurred along the row by row order of patches, each row divided by its sum, and all by the
    largest value.

    Args:
        labels: (rows, columns).

    Returns:
        F, (patches, patches) float32.
    """
    flat = labels.flatten()
    places = _places(labels)
    distances = (places[:, None] - places).abs().amax(dim=2)
    decay = torch.exp(-distances / distances.max().clamp_min(1))
    alike = (flat[:, None] == flat).to(decay)
    alike = torch.where(unbroken(labels), alike, alike * decay)
    blurred = alike @ blur_matrix(len(flat), _SIGMA).to(alike)
    blurred = blurred / blurred.sum(dim=1, keepdim=True)
    return blurred / blurred.max()


def unbroken(labels: Tensor) -> Tensor:
    """Say whether all patches on the straight segment from i to j have the label of i.

    The segment is looked at in as many steps as there are rows or columns from i to j, whichever is
    more, each time at the nearest patch (halves go to the even one).

    Args:
        labels: (rows, columns).

    Returns:
        (patches, patches) bool, False where the label of j itself differs.
    """
    flat, places = labels.flatten(), _places(labels).float()
    delta = places - places[:, None]  # from i to j
    steps = delta.abs().amax(dim=2, keepdim=True)
    result = torch.ones(len(flat), len(flat), dtype=torch.bool, device=labels.device)
    for step in range(1, max(labels.shape)):  # those that are there already stay there
        at = (places[:, None] + delta * step / steps.clamp_min(step)).round().long()
        result &= flat[at[..., 0] * labels.shape[1] + at[..., 1]] == flat[:, None]
    return result


def blur_matrix(length: int, sigma: float) -> Tensor:
    """Return the blur of rows of `length` as a matrix: zeros beyond the ends, cut off at 3 sigma.

    Returns:
        (length, length) float32, symmetric.
    """
    radius = min(int(6 * sigma + 1), length) // 2
    places = torch.arange(length)
    apart = (places[:, None] - places).abs()
    kernel = torch.exp(-apart.square() / (2 * sigma**2))
    return kernel * (apart <= radius)


def _places(labels: Tensor) -> Tensor:
    """Row and column of each patch, (patches, 2)."""
    rows, columns = (torch.arange(length, device=labels.device) for length in labels.shape)
    return torch.cartesian_prod(rows, columns)


def resclip_with_feedback(rcs: RcsSettings, sfr: SfrSettings) -> Method:
    """Build the rule from RCS and its feedback."""
    base = resclip.resclip(rcs)
    return replace(
        base,
        name=f"{base.name}-sfr",
        mix=partial(mix, rcs=rcs, sfr=sfr),
        source="ResCLIP, arXiv 2411.15851",
        feedback=partial(feedback, settings=sfr),
    )


RESCLIP_SFR = resclip_with_feedback(RcsSettings(), SfrSettings())
