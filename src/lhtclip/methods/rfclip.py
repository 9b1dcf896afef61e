"""RF-CLIP as released: every block is denoised, and all layers' keys say where to look.

The code of arXiv 2511.16170 differs from the paper, which is `rfclip_paper.py`; the published
numbers come from the code. With D the abnormal channels (`lhtclip.techniques.channels`):

1. After every block, a patch that holds more than 5 / width in one of D moves 0.4 of the way to the
   mean of the 3 x 3 patches around it, itself included and zeros beyond the border.
2. The guide g is the mean of X^1 to X^L, where X^L leaves CLIP's own last block and is denoised,
   too.
3. With S = cos(g_i, g_j), 0 below 0.4 and not normalised, x ← S x, and g' ← S g.
4. For x and for g': A V, V of the last block and A the mean over all layers of softmax(s K Kᵀ)
   without the class token; the result is the mean of both.

The published numbers also contain CASS's class prior, with a weight by data set (`--prior`), and
its change of the texts by two patches each, which is not built.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.errors import InputError, is_number
from lhtclip.methods.method import BlockInput, LastBlock, Method
from lhtclip.techniques.channels import EXCESS, channel_mask, check_channels, overfull


@dataclass(frozen=True, slots=True)
class RfclipSettings:
    """Settings of RF-CLIP, the published ones by default.

    Attributes:
        channels: D, the abnormal channels, 0-based. With none, those of the checkpoint's preset; if
            that has none either, the eight of each image with the largest mean share.
        excess: A patch is abnormal if one of D holds more than this many even shares.
        share: How far an abnormal patch moves to the mean around it, 0 to 1.
        beta: Similarities of the guide below it are dropped, 0 to 1.
    """

    channels: tuple[int, ...] = ()
    excess: float = EXCESS
    share: float = 0.4
    beta: float = 0.4

    def __post_init__(self) -> None:
        """Refuse numbers outside their range."""
        check_channels(self.channels, self.excess)
        for name, value in (("share", self.share), ("beta", self.beta)):
            if not (is_number(value) and 0 <= value <= 1):
                raise InputError(f"RF-CLIP's {name} must be from 0 to 1, not {value!r}.")


def reads(depth: int, settings: object) -> Collection[int]:
    """Return the layers whose outputs are needed: all before the last."""
    return range(depth - 1)


def suit(settings: RfclipSettings, channels: tuple[int, ...]) -> RfclipSettings:
    """Take the checkpoint's abnormal channels, unless some were chosen."""
    return settings if settings.channels else replace(settings, channels=channels)


def mend(patches: Tensor, block: BlockInput, settings: RfclipSettings) -> Tensor:
    """Move abnormal patches towards the mean around them: step 1."""
    mask = channel_mask(patches, settings.channels)
    found = overfull(patches, mask, settings.excess)
    image = patches.transpose(1, 2).unflatten(2, block.grid)
    mean = F.avg_pool2d(image, 3, stride=1, padding=1).flatten(2).transpose(1, 2)
    return torch.where(found[..., None], torch.lerp(patches, mean, settings.share), patches)


def update(last: LastBlock, settings: RfclipSettings) -> Tensor:
    """Return the mean of A V for both streams: steps 2 to 4."""
    prefix, depth = last.class_tokens, len(last.blocks)
    streams = [last.streams[layer] for layer in range(1, depth)]
    guide = torch.stack([*streams, _leaving(last, settings)]).mean(dim=0)
    unit = F.normalize(guide[:, prefix:].float(), dim=-1)
    similar = unit @ unit.mT
    similar = similar * (similar >= settings.beta)

    def spread(stream: Tensor) -> Tensor:
        patches = (similar @ stream[:, prefix:].to(similar)).to(stream)
        return torch.cat([stream[:, :prefix], patches], dim=1)

    outputs = [looked_up(last, spread(stream)) for stream in (last.x, guide)]
    return last.attention.merge(torch.stack(outputs).mean(dim=0))


def _leaving(last: LastBlock, settings: RfclipSettings) -> Tensor:
    """Return X^L, the stream that leaves CLIP's own last block, denoised."""
    block, prefix = last.blocks[-1], last.class_tokens
    x = last.x + last.attention.merge(last.attention.head_outputs(last.normed))
    x = x + block.mlp(block.norm2(x))
    return torch.cat([x[:, :prefix], mend(x[:, prefix:], last, settings)], dim=1)


def looked_up(last: LastBlock, stream: Tensor) -> Tensor:
    """Return A V of a stream: A the mean of softmax(s K Kᵀ) over layers, without the class token.

    The layers before the last one keep their own keys; the last one's are those of the stream.

    Args:
        last: The last block.
        stream: What is looked at, (batch, class tokens + patches, width).

    Returns:
        (batch, heads, class tokens + patches, head width).
    """
    prefix, attention = last.class_tokens, last.attention
    normed = last.blocks[-1].norm1(stream)
    values = attention.values(normed)
    values = torch.cat([torch.zeros_like(values[..., :prefix, :]), values[..., prefix:, :]], dim=-2)
    keys = attention.keys(normed)
    total = attention.mix(keys, keys, values)
    for layer, block in enumerate(last.blocks[:-1]):
        keys = block.attention.keys(block.norm1(last.streams[layer]))
        total = total + attention.mix(keys, keys, values)
    return total / len(last.blocks)


RFCLIP = Method(
    "rfclip",
    update,
    residual=False,
    mlp=False,
    source="RF-CLIP as released, arXiv 2511.16170",
    settings=RfclipSettings(),
    reads=reads,
    mend=mend,
    suit=suit,
    note="ATR and SHE act after its own repair of every block, before its own smoothing.",
    joinable=True,
)
