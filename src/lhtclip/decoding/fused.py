"""Upsampling and the competition of prompts as one kernel, for `--engine compile` on CUDA devices.

Each program owns a square of pixels. It walks over the prompts, computes their logits there as
M_y · L · M_xᵀ on a narrow band of patches, and keeps a running softmax (`online_softmax`). The
logits of pixels never reach the device's memory. `decode` without this kernel is its oracle.
"""

# pyright: basic, reportMissingImports=false, reportIndexIssue=false
# Triton comes with torch's builds for CUDA only, and its kernels have no types.

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from lhtclip.decoding.interpolation import Axis
from lhtclip.decoding.online_softmax import RunningWinner
from lhtclip.decoding.upsampling import Upsampling

SIDE = 32  # pixels of a program's square
_LEAST_BAND = 16  # what a matrix product of Triton needs


def fused_winners(scale: Upsampling, classes: Tensor) -> RunningWinner:
    """Find the winners of all pixels.

    Args:
        scale: Scaled logits of patches, and how they become pixels.
        classes: Class of each prompt, float32 (Q, 1, 1).
    """
    stacked, down, across = scale.stacked, scale.down, scale.across
    height, width = len(down), across.shape[1]
    found = RunningWinner.none_yet((height, width), stacked.device)
    tops, tall = _bands(scale.rows, height)
    lefts, wide = _bands(scale.columns, width)
    _compete[(len(tops), len(lefts))](
        stacked.contiguous(),
        classes.contiguous(),
        down.contiguous(),
        across.contiguous(),
        torch.tensor(tops, dtype=torch.int32).to(stacked.device, non_blocking=True),
        torch.tensor(lefts, dtype=torch.int32).to(stacked.device, non_blocking=True),
        found.winner,
        found.best,
        found.total,
        *stacked.shape,
        height,
        width,
        side=SIDE,
        tall=tall,
        wide=wide,
    )
    return found


def _bands(axis: Axis, pixels: int) -> tuple[Sequence[int], int]:
    """Return the first patch of each square's band, and a power of two that no band exceeds."""
    bands = [axis.band(slice(at, min(at + SIDE, pixels))) for at in range(0, pixels, SIDE)]
    longest = max(band.stop - band.start for band in bands)
    return [band.start for band in bands], max(_LEAST_BAND, triton.next_power_of_2(longest))


@triton.jit
def _compete(
    stacked,
    classes,
    down,
    across,
    tops,
    lefts,
    winner,
    best,
    total,
    prompts,
    patch_rows,
    patch_columns,
    height,
    width,
    side: tl.constexpr,
    tall: tl.constexpr,
    wide: tl.constexpr,
):
    y = tl.program_id(0) * side + tl.arange(0, side)
    x = tl.program_id(1) * side + tl.arange(0, side)
    r = tl.load(tops + tl.program_id(0)) + tl.arange(0, tall)
    c = tl.load(lefts + tl.program_id(1)) + tl.arange(0, wide)
    in_y, in_x, in_r, in_c = y < height, x < width, r < patch_rows, c < patch_columns
    vertical = tl.load(
        down + y[:, None] * patch_rows + r[None, :], in_y[:, None] & in_r[None, :], 0.0
    )
    horizontal = tl.load(
        across + c[:, None] * width + x[None, :], in_c[:, None] & in_x[None, :], 0.0
    )
    patches = stacked + r[:, None] * patch_columns + c[None, :]
    inside = in_r[:, None] & in_c[None, :]
    top = tl.full((side, side), float("-inf"), tl.float32)
    mass = tl.zeros((side, side), tl.float32)
    first = tl.zeros((side, side), tl.float32)
    for prompt in range(prompts):
        near = tl.load(patches + prompt * patch_rows * patch_columns, inside, 0.0)
        rising = tl.dot(vertical, near, input_precision="ieee")
        logit = tl.dot(rising, horizontal, input_precision="ieee")
        ahead = tl.maximum(top, logit)
        mass = mass * tl.exp(top - ahead) + tl.exp(logit - ahead)
        first = tl.where(logit > top, tl.load(classes + prompt), first)
        top = ahead
    pixels = y[:, None] * width + x[None, :]
    inside = in_y[:, None] & in_x[None, :]
    tl.store(winner + pixels, tl.where(mass == mass, first, float("nan")), inside)
    tl.store(best + pixels, top, inside)
    tl.store(total + pixels, mass, inside)
