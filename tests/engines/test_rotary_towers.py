"""Image towers with rotary positions have no graph, and say so."""

from __future__ import annotations

from typing import Any

import pytest

from lhtclip.clip.config import PixelConfig, VisionConfig
from lhtclip.clip.dinotxt.config import DinoVisionConfig
from lhtclip.clip.dinotxt.vision import DinoVisionTower
from lhtclip.clip.eva.vision import EvaVisionTower
from lhtclip.clip.pe.config import PeVisionConfig
from lhtclip.clip.pe.vision import PeVisionTower
from lhtclip.clip.towers import ImageTextModel, ImageTower
from lhtclip.encoder import DenseEncoder
from lhtclip.engines import run_by
from lhtclip.engines.export import check_exportable
from lhtclip.errors import InputError
from tests.models import tiny_clip

SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
TOWERS = [
    PeVisionTower(PeVisionConfig(**SHAPE), 24),
    EvaVisionTower(VisionConfig(**SHAPE, hidden_act="silu"), 24),
    DinoVisionTower(DinoVisionConfig(**SHAPE)),
]


def encoder_of(model: ImageTextModel, tower: ImageTower) -> DenseEncoder:
    model.vision = tower
    return DenseEncoder(model)


@pytest.mark.parametrize("tower", TOWERS, ids=lambda tower: type(tower).__name__)
def test_no_graph(tower: ImageTower) -> None:
    encoder = encoder_of(tiny_clip(layers=2), tower)
    wanted = rf"{type(tower).__name__}\) cannot become a graph: .* the engine 'torch'"
    with pytest.raises(InputError, match=wanted):
        check_exportable(encoder)
    with pytest.raises(InputError, match=wanted):
        run_by("onnx", encoder, pixels=PixelConfig())
