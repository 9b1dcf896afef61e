"""SigLIP's text tower: a transformer that sees the whole context (arXiv 2303.15343)."""

from __future__ import annotations

from torch import Tensor, nn

from lhtclip.clip.siglip.config import SiglipTextConfig
from lhtclip.clip.towers import TablePromptTower


class SiglipTextTower(TablePromptTower):
    """A prompt's feature is that of the last token of the context, usually a padding token."""

    causal = False

    def __init__(self, config: SiglipTextConfig, projection_dim: int) -> None:
        super().__init__(config)
        self.config = config
        self.head = nn.Linear(config.hidden_size, projection_dim)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return SigLIP's text features, (batch, projection_dim), not normalised.

        Args:
            token_ids: (batch, tokens) integers, padded to the whole context as in training: no mask
                or end token marks the end of a prompt.
        """
        return self.head(self.final_norm(self.contextualise(token_ids)[:, -1]))
