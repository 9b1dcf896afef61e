"""Presets from images alone: heads by a label-free ranking, all else measured or fixed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lhtclip.analysis.compare import best_first
from lhtclip.analysis.label_free import rank_without_labels
from lhtclip.analysis.patches import window_batches
from lhtclip.analysis.tokens import token_statistics
from lhtclip.calibration.without_labels import (
    BETA,
    HEADS,
    Unlabelled,
    choose_images,
    measure_without_labels,
    preset_without_labels,
)
from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.checkpoints.hub import resolve
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.errors import UnknownNameError
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings

FILES = [scene.image for scene in bundled_scenes()]
HEADS_OF_12 = [(layer, head) for layer in range(1, 12) for head in range(1, 13)]


def test_pictures_are_put_into_an_order_of_the_seed() -> None:
    chosen = choose_images(FILES, limit=None, seed=1)
    assert sorted(chosen) == sorted(FILES) != chosen
    assert choose_images(FILES, limit=5, seed=1) == chosen[:5]
    assert choose_images(FILES, limit=5, seed=2) != chosen[:5]


def test_scores_are_those_of_the_ranking() -> None:
    checkpoint = load_checkpoint(resolve("bundled"))
    progress: list[tuple[int, int]] = []
    measured = measure_without_labels(
        checkpoint,
        FILES[:3],
        ranking="clusters",
        progress=lambda *state: progress.append(state),
    )
    windows = window_batches(FILES[:3], checkpoint, batch=32)
    scores = rank_without_labels(checkpoint.model.vision, windows, ranking="clusters")
    channels = token_statistics(
        checkpoint.model.vision, window_batches(FILES[:3], checkpoint)
    ).channels
    assert measured == Unlabelled(8, None, scores, "clusters", 3, channels)
    assert progress == [(done, 6) for done in range(1, 7)]


def test_a_wrong_ranking_is_reported_before_an_image_is_read() -> None:
    checkpoint = load_checkpoint(resolve("bundled"))
    with pytest.raises(UnknownNameError, match="Did you mean 'clusters'"):
        measure_without_labels(checkpoint, [Path("missing.png")], ranking="cluster")


def test_the_preset_has_the_first_heads_and_the_papers_layers(tmp_path: Path) -> None:
    scores = {head: float(place % 7) for place, head in enumerate(HEADS_OF_12)}
    measured = Unlabelled(12, 0.4321, scores, "colours", 30)
    preset = preset_without_labels(measured, data="photos", model="X", seed=4)
    ranking = tuple(best_first(scores))
    assert preset.ranking == ranking
    assert preset.she == SheSettings(ranking[:HEADS], BETA, "row", unit_heads=True, centred=True)
    assert preset.ssr == SsrSettings((10, 11), 0.1)
    assert preset.atr == AtrSettings(0.432)
    assert "30 images of photos" in preset.source
    assert "colours" in preset.source
    assert preset.made["labels"] is False
    assert preset.made["heads"] == [scores[head] for head in ranking]
    assert preset.made == json.loads(json.dumps(preset.made))
    assert Preset.load(preset.save(tmp_path / "lht.json")) == preset
