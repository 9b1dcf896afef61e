"""TIPSv2's text tower: every token sees all others, and their mean is the prompt's feature."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lhtclip.clip.tips.config import TipsTextConfig
from lhtclip.clip.towers import PreNormPromptTower

PADDING = 0  # the id of the padding token
_WAVELENGTH = 10000.0


class TipsTextTower(PreNormPromptTower):
    """A transformer with sinusoidal positions; padding is masked, so its length changes nothing."""

    causal = False

    def __init__(self, config: TipsTextConfig) -> None:
        super().__init__(config)
        self.config = config

    def embed(self, token_ids: Tensor) -> Tensor:
        """Return the residual stream that enters the first block: (batch, tokens, width)."""
        tokens = self.token_embedding(token_ids)
        if self.config.scaled:
            tokens = tokens * math.sqrt(self.config.hidden_size)
        return tokens + sinusoids(token_ids.shape[1], self.config.hidden_size).to(tokens)

    def contextualise(self, token_ids: Tensor) -> Tensor:
        """Return the residual stream that leaves the last block: (batch, tokens, width)."""
        x = self.embed(token_ids)
        padding = (token_ids == PADDING)[:, None, None]
        bias = torch.zeros_like(padding, dtype=x.dtype)
        bias = bias.masked_fill(padding, torch.finfo(x.dtype).min)
        for block in self.blocks:
            x = block(x, bias=bias)
        return x

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return the prompts' features, (batch, width), not normalised.

        Args:
            token_ids: (batch, tokens) integers, padded on the right with `PADDING`.
        """
        x = self.final_norm(self.contextualise(token_ids))
        real = (token_ids != PADDING).to(x)[..., None]
        return (x * real).sum(dim=1) / (real.sum(dim=1) + 1e-8)


def sinusoids(length: int, width: int) -> Tensor:
    """Return positions as sines, then cosines, of wavelengths from 2π to 2π·10⁴: (length, width).

    As in tensor2tensor, whose layout differs from that of arXiv 1706.03762, §3.5.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32)
    rates = torch.exp(steps * (-math.log(_WAVELENGTH) / (half - 1)))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
