"""Graphs of other image towers than CLIP's, on batches and grids on which they were not traced."""

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
from tests.clip.tips_models import save_tips
from tests.models import tiny_pixels

FAMILIES = {"PE-Core": save_pe, "EVA02": save_eva, "dino.txt": save_dino_txt, "TIPSv2": save_tips}


@pytest.mark.parametrize("family", FAMILIES)
def test_graphs_fit_every_grid(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOWERS, "vit_pe_core_nano", TINY)
    save: Callable[[Path], Any] = FAMILIES[family]
    save(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    encoder = DenseEncoder(checkpoint.model, method="sclip")
    export_graph(encoder, tmp_path / "a.onnx", pixels=checkpoint.pixels)
    run = open_graph(tmp_path / "a.onnx")
    identity = np.eye(checkpoint.model.config.projection_dim, dtype=np.float32)
    patch = checkpoint.model.config.vision.patch_size
    for windows, rows, columns in ((2, 4, 4), (1, 5, 3), (3, 2, 8), (1, 1, 1)):
        pixels = tiny_pixels(windows, rows * patch, columns * patch)
        found = torch.from_numpy(run(pixels.numpy(), identity))
        torch.testing.assert_close(found, encoder(pixels), rtol=0, atol=1e-5)
