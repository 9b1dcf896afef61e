"""Joint windows: in the last block, every window attends to the patches of all windows.

The extension of keys and values of GLA-CLIP (arXiv 2603.23030): in softmax(s Q Kᵀ) V of the last
block, Q are a window's own tokens, and K and V its class token with the patches of all windows. So
windows agree on what they share, and their borders show less. A bias of the method, such as
NACLIP's neighbourhood, is that of a window's own patches; it is 0 for others. Not built are the
paper's proxy anchors and its normalisation by the size of objects, which it combines with DINO.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.encoder import DenseEncoder
from lhtclip.methods import LastAttention, LastBlock
from lhtclip.segmenter.mirroring import mirrored, whole_patches
from lhtclip.segmenter.parts import SegmenterParts
from lhtclip.segmenter.windows import PlannedImage, windows_of


def encode_jointly(parts: SegmenterParts, planned: PlannedImage) -> Tensor:
    """Encode the windows of one image, also mirrored if the settings ask for it.

    Returns:
        (windows, rows, columns, E) float32.
    """
    cut = partial(windows_of, planned, parts.checkpoint, most=parts.windows_at_once)
    if not parts.windows.flip:
        return together(parts.encoder, cut())
    patch = parts.checkpoint.model.config.vision.patch_size
    plain = together(parts.encoder, (whole_patches(each, patch) for each in cut()))
    flipped = together(parts.encoder, (mirrored(whole_patches(each, patch), -1) for each in cut()))
    return (plain + mirrored(flipped, -2)) / 2


def together(encoder: DenseEncoder, windows: Iterable[Tensor]) -> Tensor:
    """Encode the windows of one image, given in parts of some windows each."""
    return encoder.leave(joined_blocks([encoder.enter(each) for each in windows]))


def joined_blocks(parts: Sequence[LastBlock]) -> LastBlock:
    """Put what enters the last block into one batch, whose windows see each other."""
    first, sizes = parts[0], [len(part.x) for part in parts]

    def restore(patches: Tensor) -> Tensor:
        split = zip(parts, patches.split(sizes), strict=True)
        return torch.cat([part.restore(some) for part, some in split])

    return replace(
        first,
        attention=JointAttention(first.attention, first.class_tokens),
        x=torch.cat([part.x for part in parts]),
        normed=torch.cat([part.normed for part in parts]),
        streams={
            layer: torch.cat([part.streams[layer] for part in parts]) for layer in first.streams
        },
        restore=restore,
    )


@dataclass(frozen=True, slots=True)
class JointAttention:
    """The last block's attention, whose `mix` takes keys and values of all windows.

    Attributes:
        attention: The attention of a single window.
        class_tokens: How many tokens stand before the patches.
    """

    attention: LastAttention
    class_tokens: int

    @property
    def scale(self) -> float:
        """The factor s = d^-1/2."""
        return self.attention.scale

    def queries(self, x: Tensor) -> Tensor:
        """Queries of all heads."""
        return self.attention.queries(x)

    def keys(self, x: Tensor) -> Tensor:
        """Keys of all heads."""
        return self.attention.keys(x)

    def values(self, x: Tensor) -> Tensor:
        """Values of all heads."""
        return self.attention.values(x)

    def head_outputs(self, x: Tensor) -> Tensor:
        """Return softmax(s Q Kᵀ) V of all heads, within each window."""
        return self.attention.head_outputs(x)

    def merge(self, head_outputs: Tensor) -> Tensor:
        """Concatenate the heads and apply the output projection."""
        return self.attention.merge(head_outputs)

    def mix(
        self, queries: Tensor, keys: Tensor, values: Tensor, *, bias: Tensor | None = None
    ) -> Tensor:
        """Return softmax(s Q Kᵀ + bias) V, window by window, with K and V of all windows."""
        prefix, patches = self.class_tokens, keys.shape[-2] - self.class_tokens
        everywhere = [
            each[..., prefix:, :].transpose(0, 1).flatten(1, 2) for each in (keys, values)
        ]
        outputs: list[Tensor] = []
        for window in range(len(queries)):
            all_keys, all_values = (
                torch.cat([each[window, :, :prefix], shared], dim=-2)[None]
                for each, shared in zip((keys, values), everywhere, strict=True)
            )
            place = window * patches, (len(keys) - window - 1) * patches
            wide = None if bias is None else self._widened(bias, *place)
            one = queries[window : window + 1]
            outputs.append(self.attention.mix(one, all_keys, all_values, bias=wide))
        return torch.cat(outputs)

    def _widened(self, bias: Tensor, before: int, behind: int) -> Tensor:
        """Add zeros for the patches of the windows before and behind."""
        own, patches = bias[..., : self.class_tokens], bias[..., self.class_tokens :]
        return torch.cat([own, F.pad(patches, (before, behind))], dim=-1)
