"""CLIP's two towers together, and what any checkpoint can become."""

from __future__ import annotations

import torch
from torch import nn

from lhtclip.clip.config import ClipConfig, SiglipConfig
from lhtclip.clip.siglip import Siglip
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


ModelConfig = ClipConfig | SiglipConfig
ImageTextModel = Clip | Siglip  # an `ImageTower` and a `PromptTower` into one space


def fresh_model(config: ModelConfig) -> ImageTextModel:
    """Return the model that a configuration describes; its weights are of no use yet."""
    return Siglip(config) if isinstance(config, SiglipConfig) else Clip(config)
