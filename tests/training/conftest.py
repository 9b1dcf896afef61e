import pytest
import torch

from training.batches import World
from training.finishes import FINISHES
from training.recipe import TILES, TRAINING_STYLES
from training.words import MATERIALS, THINGS


@pytest.fixture(scope="session")
def world() -> World:
    """White squares for all things, black tiles for all materials."""
    looks = len(TRAINING_STYLES) * (1 + len(FINISHES))
    sprites = torch.full((looks, len(THINGS), 4, 8, 8), 255, dtype=torch.uint8)
    return World(sprites, torch.zeros(len(MATERIALS), TILES, 3, 64, 64, dtype=torch.uint8))
