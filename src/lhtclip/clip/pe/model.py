"""PE-Core's two towers together (arXiv 2504.13181)."""

from __future__ import annotations

import torch
from torch import nn

from lhtclip.clip.pe.config import PeConfig
from lhtclip.clip.pe.vision import PeVisionTower
from lhtclip.clip.text import TextTower
from lhtclip.clip.towers import ImageTextModel


class PeCore(ImageTextModel):
    """A PE-Core: image tower, CLIP's text tower and the learned temperature."""

    def __init__(self, config: PeConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = PeVisionTower(config.vision, config.projection_dim)
        self.text = TextTower(config.text, config.projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))  # ln(1 / 0.07)
