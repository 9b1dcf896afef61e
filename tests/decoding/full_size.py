"""Logits brought to the original size as the published evaluations do it, window by window."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.image.windows import WindowPlan


def full_size(logits: Tensor, plan: WindowPlan, size: tuple[int, int]) -> Tensor:
    """Logits at the original size, window by window: (Q, height, width)."""
    total = torch.zeros(logits.shape[-1], plan.height, plan.width, dtype=logits.dtype)
    count = torch.zeros(plan.height, plan.width)
    for i, top in enumerate(plan.tops):
        for j, left in enumerate(plan.lefts):
            shape = (plan.window_height, plan.window_width)
            window = logits[i, j].permute(2, 0, 1)[None]
            place = (..., slice(top, top + shape[0]), slice(left, left + shape[1]))
            total[place] += F.interpolate(window, size=shape, mode="bilinear")[0]
            count[place] += 1
    return F.interpolate((total / count)[None], size=size, mode="bilinear")[0]
