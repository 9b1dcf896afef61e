"""RF-CLIP as its paper describes it: attention goes from distractors to defocused patches.

arXiv 2511.16170; the published numbers come from its code, which does something else: `rfclip.py`.
In every block before the last one, from the patches that enter it:

1. Distractors are the patches that hold more than 5 / width in an abnormal channel.
2. The defocused ones are on one side of a normalised cut, with softmax(s K Kᵀ) as similarity: those
   whose entry in the Fiedler vector is above the mean.
3. A patch takes β of its attention off the distractors and gives it to the defocused patches, in
   proportion to the attention that they have.
4. In the patches that leave the block, the abnormal channels of distractors become the mean of the
   8 neighbours.

The last block is A V, with A the mean over all layers of softmax(s K Kᵀ).

The paper leaves open: whose cut it is (here the mean over heads, made symmetric), the sign of the
Fiedler vector (its largest entry is positive), distractors on the side of the defocused (they get
nothing), a patch without any defocused one (it keeps its attention), neighbours beyond the border
(the mean is over those inside), and the class token (outside of the cut, and left out at the end,
as in the code).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, is_number
from lhtclip.methods import rfclip
from lhtclip.methods.method import BlockInput, LastBlock, Method
from lhtclip.techniques.channels import EXCESS, channel_mask, check_channels, overfull


@dataclass(frozen=True, slots=True)
class RefocusSettings:
    """Settings of RF-CLIP's paper, its own by default.

    Attributes:
        channels: The abnormal channels, as in `rfclip.RfclipSettings`.
        excess: A patch is a distractor if one of them holds more than this many even shares.
        beta: β, the share of attention that distractors lose, 0 to 1.
    """

    channels: tuple[int, ...] = ()
    excess: float = EXCESS
    beta: float = 0.7

    def __post_init__(self) -> None:
        """Refuse numbers outside their range."""
        check_channels(self.channels, self.excess)
        if not (is_number(self.beta) and 0 <= self.beta <= 1):
            raise InputError(f"RF-CLIP's beta must be from 0 to 1, not {self.beta!r}.")


def reads(depth: int, settings: RefocusSettings) -> Collection[int]:
    """Return the layers whose outputs are needed: the inputs of all."""
    return range(depth - 1)


def suit(settings: RefocusSettings, channels: tuple[int, ...]) -> RefocusSettings:
    """Take the checkpoint's abnormal channels, unless some were chosen."""
    return settings if settings.channels else replace(settings, channels=channels)


def attend(block: BlockInput, settings: RefocusSettings) -> Tensor:
    """Return A V of a block, with attention moved from distractors to defocused patches."""
    attention, prefix = block.attention, block.class_tokens
    queries, keys = attention.queries(block.normed), attention.keys(block.normed)
    weights = (attention.scale * queries @ keys.mT).softmax(dim=-1)
    own = (attention.scale * keys @ keys.mT).softmax(dim=-1)[..., prefix:, prefix:]
    distractors = _distractors(block, settings)[0]
    defocused = fiedler_side(own.mean(dim=1)) & ~distractors
    moved = refocus(weights[..., prefix:, prefix:], distractors, defocused, settings.beta)
    patches = torch.cat([weights[..., prefix:, :prefix], moved], dim=-1)
    weights = torch.cat([weights[..., :prefix, :], patches], dim=-2)
    return weights @ attention.values(block.normed)


def refocus(weights: Tensor, distractors: Tensor, defocused: Tensor, beta: float) -> Tensor:
    """Move β of the attention that distractors get to defocused patches; rows keep their sums.

    Args:
        weights: Attention between patches, (batch, heads, patches, patches).
        distractors: bool (batch, patches).
        defocused: bool (batch, patches), none of them a distractor.
        beta: β.
    """
    lost = beta * weights * distractors[:, None, None]
    gaining = weights * defocused[:, None, None]
    total = gaining.sum(dim=-1, keepdim=True)
    gained = lost.sum(dim=-1, keepdim=True) * gaining / total.clamp_min(1e-30)
    return torch.where(total > 0, weights - lost + gained, weights)


def fiedler_side(similar: Tensor) -> Tensor:
    """Return the side of the normalised cut that has the largest entry of the Fiedler vector.

    The vector y solves (D - W) y = λ D y for the second smallest λ, W the symmetric part of the
    similarity and D its row sums; a patch is on that side if its entry is above the mean.

    Args:
        similar: Above 0, (batch, patches, patches).

    Returns:
        bool (batch, patches).
    """
    count = similar.shape[-1]
    if count == 1:
        return torch.zeros(similar.shape[:2], dtype=torch.bool, device=similar.device)
    weights = (similar + similar.mT).to(torch.promote_types(similar.dtype, torch.float32)) / 2
    root = weights.sum(dim=-1).rsqrt()  # D^-1/2
    scaled = root[:, :, None] * weights * root[:, None]
    # The largest eigenvalue of the scaled similarity is the smallest of its Laplacian.
    vector = root * torch.linalg.eigh(scaled).eigenvectors[..., -2]
    largest = vector.gather(1, vector.abs().argmax(dim=1, keepdim=True))
    vector = vector * largest.sign()
    return vector > vector.mean(dim=1, keepdim=True)


def mend(patches: Tensor, block: BlockInput, settings: RefocusSettings) -> Tensor:
    """Replace the abnormal channels of distractors by the mean of their neighbours."""
    distractors, mask = _distractors(block, settings)
    replaced = distractors[..., None] & mask
    return torch.where(replaced, neighbours(patches, block.grid), patches)


def _distractors(block: BlockInput, settings: RefocusSettings) -> tuple[Tensor, Tensor]:
    """Return which patches that enter a block are distractors, and the abnormal channels."""
    patches = block.x[:, block.class_tokens :]
    mask = channel_mask(patches, settings.channels)
    return overfull(patches, mask, settings.excess), mask


def neighbours(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the mean of the 8 neighbours of each patch, fewer at the border; zeros for one patch.

    Args:
        patches: (batch, patches, width).
        grid: Rows and columns of patches.
    """
    image = patches.transpose(1, 2).unflatten(2, grid)
    total, count = (
        F.avg_pool2d(each, 3, stride=1, padding=1, divisor_override=1) - each
        for each in (image, torch.ones_like(image[:1, :1]))
    )
    return (total / count.clamp_min(1)).flatten(2).transpose(1, 2)


def update(last: LastBlock, settings: RefocusSettings) -> Tensor:
    """A V, with A the mean over all layers of softmax(s K Kᵀ)."""
    return last.attention.merge(rfclip.looked_up(last, last.x))


RFCLIP_PAPER = Method(
    "rfclip-paper",
    update,
    residual=False,
    mlp=False,
    source="RF-CLIP's paper, arXiv 2511.16170",
    settings=RefocusSettings(),
    reads=reads,
    note="ATR and SHE act after its own repair of every block.",
    exportable=False,  # no graph has eigenvectors
    attend=attend,
    mend=mend,
    suit=suit,
    joinable=True,
)
