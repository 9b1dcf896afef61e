"""ResCLIP with semantic feedback (SFR, arXiv 2411.15851): a first segmentation steers a second.

The first pass is RCS alone. Each window is segmented by it, and each patch gets one label. In the
second pass, patches of one label attend to each other more, unless patches of other labels lie
between them.

The released code looks along a pair's segment with the step of the longest pair, so it sees only
the first part of most segments. The paper says all of it, which is the default here;
`path="released"` is the code's check, which the published numbers come from. Two other things are
not followed: the code's switches cannot be switched off, and where memory runs out it continues
without PAMR.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, is_number, unknown
from lhtclip.files.fields import check_fields
from lhtclip.methods import resclip
from lhtclip.methods.method import LabelPatches, LastBlock, Method
from lhtclip.methods.resclip import RcsSettings

PATHS = ("whole", "released")
_SIGMA = 5.0  # positions in the row by row order of patches


@dataclass(frozen=True, slots=True)
class SfrSettings:
    """Settings of SFR. The published ones differ by data set; the defaults are Context-59's.

    Attributes:
        scale: τ, which the scores are multiplied by.
        share: λ, how much of the scores the feedback makes up, 0 to 1.
        threshold: A pixel of the first segmentation whose winner has less than this probability
            counts as the first query (temp_thd), 0 to 1.
        logit_scale: Factor on the cosines of the first segmentation before its softmax.
        path: How much of the segment between two patches must have their label: "whole", as the
            paper says, or "released", only its first part, as in the published code.
    """

    scale: float = 1.8
    share: float = 0.7
    threshold: float = 0.25
    logit_scale: float = 40.0
    path: str = "whole"

    def __post_init__(self) -> None:
        """Refuse numbers outside their range."""
        for name in ("scale", "logit_scale"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise InputError(f"SFR's {name} must be above 0, not {value!r}.")
        for name in ("share", "threshold"):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= 1):
                raise InputError(f"SFR's {name} must be from 0 to 1, not {value!r}.")
        check_fields(self, "path")
        if self.path not in PATHS:
            raise unknown("path of SFR", self.path, PATHS)


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """Settings of ResCLIP with feedback.

    Attributes:
        rcs: How attention is borrowed, in both passes.
        sfr: How the first segmentation steers the second pass.
    """

    rcs: RcsSettings
    sfr: SfrSettings

    def __post_init__(self) -> None:
        """Refuse values of another type."""
        check_fields(self)


def reads(depth: int, settings: FeedbackSettings) -> Collection[int]:
    """Return the layers whose outputs are needed: those of RCS."""
    return resclip.reads(depth, settings.rcs)


def update(last: LastBlock, settings: FeedbackSettings) -> Tensor:
    """The first pass: RCS alone."""
    return resclip.update(last, settings.rcs)


def second_pass(label: LabelPatches, settings: FeedbackSettings) -> Method:
    """Label the patches by the first pass, and let those that belong together attend more.

    Returns:
        RCS for these windows, its base's scores τ [(1 - λ) s K Kᵀ + λ F] + Ω, F from `belonging`.
    """
    sfr = settings.sfr
    labels = label(logit_scale=sfr.logit_scale, threshold=sfr.threshold)
    feedback = torch.stack([belonging(window, path=sfr.path) for window in labels])
    return replace(
        resclip.resclip(settings.rcs), update=partial(steered, feedback=feedback, sfr=sfr)
    )


def steered(last: LastBlock, rcs: RcsSettings, *, feedback: Tensor, sfr: SfrSettings) -> Tensor:
    """RCS with scores τ [(1 - λ) s K Kᵀ + λ F] + Ω in its base.

    Args:
        last: The last block.
        rcs: How attention is borrowed.
        feedback: F, (windows, patches, patches) in [0, 1].
        sfr: τ and λ.
    """
    prefix = last.class_tokens
    bias = F.pad(feedback.to(last.normed), (prefix, 0, prefix, 0))[:, None]  # alike for all heads
    return resclip.update(
        last, rcs, gain=sfr.scale * (1 - sfr.share), bias=sfr.scale * sfr.share * bias
    )


def belonging(labels: Tensor, *, path: str = "whole") -> Tensor:
    """Return how much patches belong together.

    1 for patches of one label. exp(-distance / largest distance), the distance the larger of those
    in rows and columns, where the straight segment between them leaves that label; else 0. Then
    blurred along the row by row order of patches, each row divided by its sum, and all by the
    largest value.

    Args:
        labels: (rows, columns).
        path: As in `SfrSettings`.

    Returns:
        F, (patches, patches) float32.
    """
    flat = labels.flatten()
    positions = _positions(labels)
    distances = (positions[:, None] - positions).abs().amax(dim=2)
    decay = torch.exp(-distances / distances.max().clamp_min(1))
    alike = (flat[:, None] == flat).to(decay)
    straight = unbroken(labels) if path == "whole" else unbroken_as_released(labels)
    alike = torch.where(straight, alike, alike * decay)
    blurred = alike @ blur_matrix(len(flat), _SIGMA).to(alike)
    blurred = blurred / blurred.sum(dim=1, keepdim=True)
    return blurred / blurred.max()


def unbroken(labels: Tensor) -> Tensor:
    """Return whether all patches on the straight segment from i to j have the label of i.

    The segment is looked at in as many steps as there are rows or columns from i to j, whichever is
    more, each time at the nearest patch (halves go to the even one).

    Args:
        labels: (rows, columns).

    Returns:
        (patches, patches) bool, False where the label of j itself differs.
    """
    flat, positions = labels.flatten(), _positions(labels).float()
    delta = positions - positions[:, None]  # from i to j
    steps = delta.abs().amax(dim=2, keepdim=True)
    result = torch.ones(len(flat), len(flat), dtype=torch.bool, device=labels.device)
    for step in range(1, max(labels.shape)):  # those that are there already stay there
        at = (positions[:, None] + delta * step / steps.clamp_min(step)).round().long()
        result &= flat[at[..., 0] * labels.shape[1] + at[..., 1]] == flat[:, None]
    return result


def unbroken_as_released(labels: Tensor) -> Tensor:
    """Return the same for the first part of each segment, as the released code looks at it.

    A segment of n steps is looked at in n steps of the length that the longest one has, n_max: up
    to the share n / n_max of it. The patch j itself counts only if its segment is the longest.

    Args:
        labels: (rows, columns).

    Returns:
        (patches, patches) bool.
    """
    flat, positions = labels.flatten(), _positions(labels).float()
    start, end = positions[:, None], positions[None]
    steps = (end - start).abs().amax(dim=2)
    longest = max(labels.shape) - 1
    shares = torch.linspace(0, 1, longest + 1).tolist()
    result = torch.ones_like(steps, dtype=torch.bool)
    for step in range(1, longest + 1):
        at = (start * (1 - shares[step]) + end * shares[step]).round().long()
        same = flat[at[..., 0] * labels.shape[1] + at[..., 1]] == flat[:, None]
        result &= same | (step > steps)
    return result


def blur_matrix(length: int, sigma: float) -> Tensor:
    """Return the blur of rows of `length` as a matrix: zeros beyond the ends, cut off at 3 sigma.

    Returns:
        (length, length) float32, symmetric.
    """
    radius = min(int(6 * sigma + 1), length) // 2
    positions = torch.arange(length)
    apart = (positions[:, None] - positions).abs()
    kernel = torch.exp(-apart.square() / (2 * sigma**2))
    return kernel * (apart <= radius)


def _positions(labels: Tensor) -> Tensor:
    """Row and column of each patch, (patches, 2)."""
    rows, columns = (torch.arange(length, device=labels.device) for length in labels.shape)
    return torch.cartesian_prod(rows, columns)


def resclip_with_feedback(rcs: RcsSettings, sfr: SfrSettings) -> Method:
    """Build the method from RCS and its feedback."""
    base = resclip.resclip(rcs)
    return replace(
        base,
        name=f"{base.name}-sfr",
        update=update,
        source="ResCLIP, arXiv 2411.15851",
        settings=FeedbackSettings(rcs, sfr),
        reads=reads,
        exportable=False,
        joinable=False,  # the feedback is that of one window
        second_pass=second_pass,
    )


RESCLIP_SFR = resclip_with_feedback(RcsSettings(), SfrSettings())
