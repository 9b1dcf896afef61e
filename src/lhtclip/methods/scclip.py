"""SC-CLIP: CLIP calibrates itself by what its middle layers say (arXiv 2411.15869).

Outlying tokens give way to their neighbours; similarity in a deep middle layer smooths the stream
and guides the last attention; that in a shallow one smooths the result; a second pass does the same
with the sum of many levels. The class token is added as a residual, where there is one.

ATR and SHE act before all this, on the stream that enters the last block. They stack, but overlap:
ATR takes the sparse tokens away that outlier detection was made for, which then flags its fixed
share among the rest, and SHE is a second smoothing after SC-CLIP's own. The levels of the second
pass stay as they are: neither technique reaches them, nor do SC-CLIP's own two counterparts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, is_number
from lhtclip.files.fields import check_fields
from lhtclip.methods.method import LastAttention, LastBlock, Method
from lhtclip.techniques.atr import AtrSettings, replace_abnormal

_EVENLY = AtrSettings(sigma=1e6)  # so wide that all normal neighbours weigh 1


@dataclass(frozen=True, slots=True)
class Levels:
    """Which layers SC-CLIP reads, 1-based, and how much of the class token it adds.

    Attributes:
        deep: The layer whose similarity smooths the stream and guides the attention.
        shallow: The layer whose similarity smooths the result.
        fused: First and last of the layers that the second pass sums up.
        class_share: How much of the class token is added.
    """

    deep: int
    shallow: int
    fused: tuple[int, int]
    class_share: float

    def __post_init__(self) -> None:
        """Refuse values of another type."""
        check_fields(self)


PUBLISHED = {  # by depth of the tower; ViT-B/16 from the paper, ViT-L/14 from its authors
    12: Levels(deep=9, shallow=4, fused=(4, 10), class_share=0.3),
    24: Levels(deep=17, shallow=7, fused=(9, 19), class_share=0.1),
}


@dataclass(frozen=True, slots=True)
class ScclipSettings:
    """Settings of SC-CLIP, the published ones by default.

    Attributes:
        neighbours: k, how many nearest tokens a token's density is measured by, 1 or more.
        outliers: The share of patches that is taken for outlying, by an image's own quantile, 0 to
            1.
        beta: β, similarities below it do not smooth, 0 to 1.
        sharpness: What similarities are multiplied by before they become attention, 0 or more.
        levels: Layers and class share. None takes those published for the depth; towers of another
            depth take ViT-B/16's by proportion, rounded down, or ViT-L/14's if deeper than 12.
    """

    neighbours: int = 30
    outliers: float = 0.05
    beta: float = 0.4
    sharpness: float = 3.0
    levels: Levels | None = None

    def __post_init__(self) -> None:
        """Refuse numbers outside their range."""
        check_fields(self, "levels")
        if not (type(self.neighbours) is int and self.neighbours >= 1):
            raise InputError(
                f"SC-CLIP's neighbours are a whole number from 1 on, not {self.neighbours!r}."
            )
        for name, share in (("outliers", self.outliers), ("beta", self.beta)):
            if not (is_number(share) and 0 <= share <= 1):
                raise InputError(f"SC-CLIP's {name} must be from 0 to 1, not {share!r}.")
        if not (is_number(self.sharpness) and self.sharpness >= 0):
            raise InputError(f"SC-CLIP's sharpness must be 0 or more, not {self.sharpness!r}.")

    def levels_of(self, depth: int) -> Levels:
        """Return the layers to read in a tower of `depth` layers.

        Raises:
            InputError: The tower has no such layer before its last one.
        """
        levels = self.levels or _in_proportion(depth)
        first, last = levels.fused
        named = (levels.deep, levels.shallow, first, last)
        if first > last or not all(1 <= layer < depth for layer in named):
            raise InputError(
                f"SC-CLIP reads layers before the last one; this model has {depth - 1} of them, "
                f"but the settings name {levels.deep}, {levels.shallow} and {first} to {last}."
            )
        return levels


def reads(depth: int, settings: ScclipSettings) -> Collection[int]:
    """Return the layers whose outputs are needed."""
    levels = settings.levels_of(depth)
    return {levels.deep, levels.shallow, *_fused(levels)}


def update(last: LastBlock, settings: ScclipSettings) -> Tensor:
    """Y = M' (out(½ [softmax(M) + softmax(s K Kᵀ)]) + share CLS), over both passes."""
    prefix, norm = last.class_tokens, last.blocks[-1].norm1
    levels = settings.levels_of(len(last.blocks))
    outlying = outliers(last.x[:, prefix:], settings)

    def mended(patches: Tensor) -> Tensor:
        return replace_abnormal(patches, last.grid, _EVENLY, abnormal=outlying)

    deep = similarity(mended(last.streams[levels.deep][:, prefix:]))  # M
    shallow = similarity(last.streams[levels.shallow][:, prefix:])  # M'
    adjusted = smooth(mended(last.x[:, prefix:]), deep, settings.beta)
    fused = torch.stack([last.streams[layer] for layer in _fused(levels)]).sum(dim=0)
    guide = guidance(deep, settings.sharpness)
    total = torch.zeros_like(adjusted)
    for patches, whole in ((adjusted, last.x), (fused[:, prefix:], fused)):
        added = guided(last.attention, norm(patches), guide)
        class_token = whole[:, : min(prefix, 1)].sum(dim=1, keepdim=True)  # zeros without one
        total = total + smooth(added + levels.class_share * class_token, shallow, settings.beta)
    return torch.cat([last.x[:, :prefix], total], dim=1)


def outliers(patches: Tensor, settings: ScclipSettings) -> Tensor:
    """Find the patches of each image that lie loosest among their neighbours.

    The local outlier factor on squared distances, as released: a patch's own k-distance stands for
    the reachability distance, so the factor is k-distance_i times the mean of 1 / k-distance_j.

    Args:
        patches: (batch, patches, width).
        settings: k, and the share of outliers. Where k patches are not there to choose from, k is
            half of all: with every other as a neighbour the two farthest would always tie.

    Returns:
        bool (batch, patches).
    """
    batch, count, _ = patches.shape
    if count == 1:
        return torch.zeros(batch, 1, dtype=torch.bool, device=patches.device)
    features = patches.float()
    squared = torch.cdist(
        features, features, compute_mode="donot_use_mm_for_euclid_dist"
    ).square()  # products would lose small distances between long tokens
    squared.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    k = settings.neighbours if settings.neighbours < count - 1 else count // 2
    nearest = squared.topk(k, largest=False)
    reach = nearest.values[..., -1].clamp_min(1e-6)  # twins are 0 apart
    around = reach[:, None].expand(-1, count, -1).gather(2, nearest.indices)
    factor = reach * around.reciprocal().mean(dim=-1)
    return factor > factor.quantile(1 - settings.outliers, dim=1, keepdim=True)


def similarity(patches: Tensor) -> Tensor:
    """Return the cosine between all patches of an image, (batch, patches, patches) float32."""
    unit = F.normalize(patches.float(), dim=-1)
    cosine = unit @ unit.transpose(1, 2)
    cosine.diagonal(dim1=1, dim2=2).fill_(1.0)  # also for a token of zeros
    return cosine


def smooth(patches: Tensor, cosine: Tensor, beta: float) -> Tensor:
    """Replace each patch by the mean of those at least β similar, weighted by similarity."""
    weights = cosine * (cosine >= beta)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return (weights @ patches.float()).to(patches.dtype)


def guidance(cosine: Tensor, sharpness: float) -> Tensor:
    """Return softmax(3 (M - mean M)), nothing below an image's mean: (batch, 1, N, N) float32."""
    centred = cosine - cosine.mean(dim=(1, 2), keepdim=True)
    diagonal = torch.eye(cosine.shape[-1], dtype=torch.bool, device=cosine.device)
    hidden = (centred < 0) & ~diagonal  # a mean of ones may be rounded above 1
    return (sharpness * centred).masked_fill(hidden, -torch.inf).softmax(dim=-1)[:, None]


def guided(attention: LastAttention, normed: Tensor, guide: Tensor) -> Tensor:
    """Return out(½ [guide + softmax(s K Kᵀ)]), the guide being the same for all heads."""
    keys, values = attention.keys(normed), attention.values(normed)
    own = attention.mix(keys, keys, values)
    return attention.merge((own + guide.to(values) @ values) / 2)


def _in_proportion(depth: int) -> Levels:
    published = 12 if depth <= 12 else 24
    levels = PUBLISHED[published]
    deep, shallow, first, last = (
        max(layer * depth // published, 1) for layer in (levels.deep, levels.shallow, *levels.fused)
    )
    return Levels(deep, shallow, (first, last), levels.class_share)


def _fused(levels: Levels) -> range:
    first, last = levels.fused
    return range(first, last + 1)


SCCLIP = Method(
    "scclip",
    update,
    residual=False,
    mlp=False,
    source="SC-CLIP, arXiv 2411.15869",
    settings=ScclipSettings(),
    reads=reads,
    note="ATR and SHE act before its own outlier step and smoothing, which do much the same; "
    "not on the levels that its second pass adds.",
    exportable=False,  # how many neighbours and outliers there are depends on the number of patches
)
