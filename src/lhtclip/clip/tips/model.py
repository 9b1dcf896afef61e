"""TIPSv2's two towers together (arXiv 2604.12012)."""

from __future__ import annotations

import math

from lhtclip.clip.tips.config import TipsConfig
from lhtclip.clip.tips.text import TipsTextTower
from lhtclip.clip.tips.vision import TipsVisionTower
from lhtclip.clip.towers import ImageTextModel


class Tips(ImageTextModel):
    """A TIPSv2: image tower and text tower. Its temperature is a setting, not a weight.

    Attributes:
        logit_scale: The natural logarithm of what cosines are multiplied by.
    """

    def __init__(self, config: TipsConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = TipsVisionTower(config.vision)
        self.text = TipsTextTower(config.text)
        self.logit_scale = -math.log(config.temperature)
