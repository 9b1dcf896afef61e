"""Graphs of towers whose queries and keys turn by their places, on other grids than they saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.clip.pe.config import TOWERS
from lhtclip.encoder import DenseEncoder
from lhtclip.engines.export import export_graph
from lhtclip.engines.onnx_runtime import open_graph
from tests.clip.dinotxt_models import save_dino_txt
from tests.clip.eva_models import save_eva
from tests.clip.pe_models import TINY, save_pe
from tests.models import tiny_pixels


@pytest.mark.parametrize("save", [save_pe, save_eva, save_dino_txt])
def test_turns_fit_every_grid(
    save: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOWERS, "vit_pe_core_nano", TINY)
    save(tmp_path)
    checkpoint = load_checkpoint(str(tmp_path))
    encoder = DenseEncoder(checkpoint.model, method="sclip")
    export_graph(encoder, tmp_path / "a.onnx", pixels=checkpoint.pixels)
    run = open_graph(tmp_path / "a.onnx")
    identity = np.eye(checkpoint.model.config.projection_dim, dtype=np.float32)
    for windows, height, width in ((2, 32, 32), (1, 40, 24), (3, 16, 64)):
        pixels = tiny_pixels(windows, height, width)
        found = torch.from_numpy(run(pixels.numpy(), identity))
        torch.testing.assert_close(found, encoder(pixels), rtol=0, atol=1e-5)
