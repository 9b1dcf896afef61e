"""PTC, prototype text calibration: prompts move towards the patches that they surely match.

From arXiv 2608.03991, written from its description; its code is not public. With patches f and
prompts t of unit length, s their cosines, and Δ a patch's lead of the best prompt over the second:

    K_c = max(K_min, ⌊0.1 N_c⌋),  for a prompt c that is best at N_c patches of the image,
    V_c = Σ Δ_i f_i / Σ Δ_i     over the K_c of them with the largest lead,
    μ_c = μ min(1, log(1 + K_c) / log(1 + λ K_min)),
    t_c ← (1 - μ_c) t_c + μ_c V_c,

and patches are compared again. A prompt that is best at fewer than K_min patches stays.

The authors tune K_min and μ by data set and by method, 28 to 100 and 0.02 to 0.3, and state no λ.
Here one setting serves all. The patches are those of all windows and scales of an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, is_number, is_whole


@dataclass(frozen=True, slots=True)
class PtcSettings:
    """Settings of PTC.

    Attributes:
        strength: μ, how far a prompt moves at most, from 0 to below 1.
        least: K_min, the fewest patches that move a prompt, 1 or more.
        share: The share of a prompt's patches that move it, if that is more, 0 to 1.
        saturation: λ, how many times K_min patches give the full strength, above 0.
    """

    strength: float = 0.1
    least: int = 30
    share: float = 0.1
    saturation: float = 4.0

    def __post_init__(self) -> None:
        """Validate the settings."""
        if not (is_number(self.strength) and 0 <= self.strength < 1):
            raise InputError(f"PTC's strength must be from 0 to below 1, not {self.strength!r}.")
        if not is_whole(self.least):
            raise InputError(f"PTC's least must be at least 1 patch, not {self.least!r}.")
        if not (is_number(self.share) and 0 <= self.share <= 1):
            raise InputError(f"PTC's share must be from 0 to 1, not {self.share!r}.")
        if not (is_number(self.saturation) and self.saturation > 0):
            raise InputError(f"PTC's saturation must be above 0, not {self.saturation!r}.")

    def strength_of(self, count: int) -> float:
        """Return μ_c for a prompt that so many patches move."""
        full = math.log1p(self.saturation * self.least)
        return self.strength * min(1.0, math.log1p(count) / full)


def calibrated(texts: Tensor, patches: Tensor, settings: PtcSettings) -> Tensor:
    """Move prompts towards the patches that they surely match.

    Args:
        texts: Embeddings of the prompts, (prompts, E) float32, of unit length.
        patches: Embeddings of all patches of an image, (patches, E) float32.
        settings: How far, and by how many patches.

    Returns:
        (prompts, E), of unit length; prompts that did not move are bitwise equal.
    """
    if len(texts) == 1:
        return texts  # no second prompt to lead over
    patches = F.normalize(patches, dim=-1)
    best = (patches @ texts.T).topk(2, dim=-1)
    leads, winners = best.values[:, 0] - best.values[:, 1], best.indices[:, 0]
    moved = texts.clone()
    for prompt, count in enumerate(winners.bincount(minlength=len(texts)).tolist()):
        if count < settings.least:
            continue
        surest = max(settings.least, int(settings.share * count))
        lead, places = leads.masked_fill(winners != prompt, -1.0).topk(surest)
        prototype = (lead @ patches[places]) / lead.sum().clamp_min(1e-12)
        mixed = torch.lerp(texts[prompt], prototype, settings.strength_of(surest))
        moved[prompt] = F.normalize(mixed, dim=0)
    return moved
