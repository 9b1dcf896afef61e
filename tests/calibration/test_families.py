"""Families with an image tower of their own are calibrated, with labels and without, and used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lhtclip import Segmenter, WindowSettings
from lhtclip.calibration.calibrate import measure_heads
from lhtclip.calibration.without_labels import measure_without_labels, preset_without_labels
from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.clip.pe.config import TOWERS
from lhtclip.datasets import open_dataset
from lhtclip.datasets.samples import choose_samples
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.techniques.presets import PRESET_FILE
from tests.clip.bert_models import save_biomed
from tests.clip.dinotxt_models import save_dino_txt
from tests.clip.eva_models import save_eva
from tests.clip.pe_models import TINY, save_pe
from tests.clip.tips_models import save_tips

FAMILIES: dict[str, Callable[[Path], Any]] = {
    "biomed": save_biomed,
    "eva02": save_eva,
    "dino.txt": save_dino_txt,
    "pe-core": save_pe,
    "tipsv2": save_tips,
}


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(TOWERS, "vit_pe_core_nano", TINY)
    FAMILIES[request.param](tmp_path)
    return tmp_path


def test_calibrated_and_used(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    config = checkpoint.model.config.vision
    heads = (config.num_hidden_layers - 1) * config.num_attention_heads
    labelled = measure_heads(checkpoint, choose_samples(open_dataset("scenes"), limit=2))
    assert len(labelled.survey.ranking()) == heads

    files = [scene.image for scene in bundled_scenes()][:2]
    measured = measure_without_labels(checkpoint, files)
    assert len(measured.scores) == heads
    preset = preset_without_labels(measured, data="scenes", model="X", seed=0)
    preset.save(folder / PRESET_FILE)

    segmenter = Segmenter.from_pretrained(
        folder,
        lht=True,
        windows=WindowSettings(short_side=48, window=32, stride=16),
        text_cache=False,
        device="cpu",
        dtype="float32",
    )
    assert segmenter.encoder.lht.she == preset.she
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    result = segmenter.segment(image, ["cat", "dog", "tree"])
    assert result.labels.shape == (50, 70)
    assert set(np.unique(result.labels)) <= {0, 1, 2}
