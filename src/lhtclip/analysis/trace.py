"""A forward pass of the image tower, layer by layer, for measurements.

Only one layer is in memory at a time, so measuring all layers and heads takes one pass over the
images and no more memory than the pass itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.clip.layers import AnyAttention, Block
from lhtclip.clip.towers import ImageTower
from lhtclip.techniques.ssr import SsrSettings, reweight


@dataclass(frozen=True, slots=True, eq=False)
class LayerTrace:
    """One layer of a pass over a batch.

    Attributes:
        layer: 1-based layer.
        block: Its weights.
        entering: The residual stream before it (X^{l-1}), (batch, tokens, width).
        head_outputs: A_h V_h of every head as the output projection gets it, (batch, heads, tokens,
            head width).
        stream: The residual stream after it (X^l), (batch, tokens, width).
        class_tokens: Number of tokens before the patches.
    """

    layer: int
    block: Block
    entering: Tensor
    head_outputs: Tensor
    stream: Tensor
    class_tokens: int

    @property
    def patches(self) -> Tensor:
        """The residual stream after the layer without the class token, (batch, patches, width)."""
        return self.stream[:, self.class_tokens :]

    @property
    def head_features(self) -> Tensor:
        """`head_features` of the patches: (batch, heads, patches, head width)."""
        return head_features(self.block.attention, self.head_outputs[:, :, self.class_tokens :])

    @property
    def attention_received(self) -> Tensor:
        """The attention that each token receives, (batch, tokens); the mean over tokens is 1.

        Column sums of softmax(s Q Kᵀ), averaged over heads.
        """
        attention, x = self.block.attention, self.block.norm1(self.entering)
        scores = attention.scale * attention.queries(x) @ attention.keys(x).transpose(-1, -2)
        return scores.float().softmax(dim=-1).sum(dim=-2).mean(dim=1)


def trace(
    vision: ImageTower, pixels: Tensor, *, ssr: SsrSettings | None = None
) -> Iterator[LayerTrace]:
    """Run the image tower and yield its layers, first to last.

    Args:
        vision: The image tower.
        pixels: Normalised, (batch, 3, height, width).
        ssr: Reweight the updates of its layers, as in LHT-CLIP (arXiv 2510.23894).
    """
    x = vision.embed(pixels)
    for layer, block in enumerate(vision.blocks_for(vision.grid(pixels)), start=1):
        alpha = ssr.alpha if ssr and layer in ssr.layers else 0.0
        entering = x
        head_outputs = block.attention.head_outputs(block.norm1(x))
        x = reweight(x, block.attention.merge(head_outputs), alpha)
        x = block.closed(reweight(x, block.mlp(block.norm2(x)), alpha))
        settled = block.attention.settled(head_outputs)
        yield LayerTrace(layer, block, entering, settled, x, vision.class_tokens)


def head_features(attention: AnyAttention, head_outputs: Tensor) -> Tensor:
    """Return each head's contribution A_h V_h W_o,h in fewer dimensions, with all angles.

    With W_o,h = R_hᵀ Q_hᵀ (Q_h orthonormal), A_h V_h R_hᵀ has the lengths and inner products of
    the contribution, without bias, in the head's own width instead of the tower's.

    Args:
        attention: The layer's attention.
        head_outputs: (batch, heads, tokens, head width), all heads.

    Returns:
        (batch, heads, tokens, head width) float32.
    """
    per_head = attention.projections(range(attention.heads)).float().mT
    triangular = torch.linalg.qr(per_head).R  # (heads, head width, head width)
    return head_outputs.float() @ triangular.transpose(-1, -2)
