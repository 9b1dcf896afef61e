"""SigLIP's two towers together: SigLIP (arXiv 2303.15343) and SigLIP 2 (arXiv 2502.14786)."""

from __future__ import annotations

import math

import torch
from torch import nn

from lhtclip.clip.siglip.config import SiglipConfig
from lhtclip.clip.siglip.text import SiglipTextTower
from lhtclip.clip.siglip.vision import SiglipVisionTower
from lhtclip.clip.towers import ImageTextModel


class Siglip(ImageTextModel):
    """A SigLIP: image tower, text tower, and the scale and bias that make cosines logits."""

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = SiglipVisionTower(config.vision)
        self.text = SiglipTextTower(config.text, config.projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor([math.log(10)]))  # t'
        self.logit_bias = nn.Parameter(torch.tensor([-10.0]))  # b
