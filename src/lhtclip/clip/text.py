"""CLIP's text tower: a causal transformer read out at the end token (arXiv 2103.00020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lhtclip.clip.config import TextConfig
from lhtclip.clip.towers import TablePromptTower


class TextTower(TablePromptTower):
    """A prompt's feature is that of its end token, which sees all others."""

    causal = True

    def __init__(self, config: TextConfig, projection_dim: int) -> None:
        super().__init__(config)
        self.config = config
        self.projection = nn.Linear(config.hidden_size, projection_dim, bias=False)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return CLIP's text features, (batch, projection_dim), not normalised.

        Attention is causal, so tokens after the end token change nothing: a batch need not be
        longer than its longest prompt.

        Args:
            token_ids: (batch, tokens) integers, each row with an end token.
        """
        x = self.contextualise(token_ids)
        if self.config.ends_at_largest:
            end = token_ids.argmax(dim=1)
        else:
            end = (token_ids == self.config.eos_token_id).int().argmax(dim=1)
        rows = torch.arange(x.shape[0], device=x.device)
        return self.projection(self.final_norm(x[rows, end]))
