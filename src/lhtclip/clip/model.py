"""The two towers together."""

from __future__ import annotations

import torch
from torch import nn

from lhtclip.clip.config import ClipConfig
from lhtclip.clip.text import TextTower
from lhtclip.clip.vision import VisionTower


class Clip(nn.Module):
    """A CLIP: image tower, text tower and the learned temperature."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config.vision, config.projection_dim)
        self.text = TextTower(config.text, config.projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))  # ln(1 / 0.07)
