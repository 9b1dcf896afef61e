"""Calibration on a few scenes of the package: what is measured, scored and written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from lhtclip import __version__
from lhtclip.analysis.pairs import Estimate
from lhtclip.analysis.patches import patch_batches
from lhtclip.analysis.survey import Survey, survey
from lhtclip.calibration.calibrate import Measured, measure_heads, preset_of, split
from lhtclip.calibration.search import Grid, search
from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.hub import resolve
from lhtclip.datasets import Dataset, open_dataset
from lhtclip.datasets.samples import choose_samples
from lhtclip.errors import InputError
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings

SCENES = open_dataset("scenes")
SOME = LhtSettings(SsrSettings((5, 6, 7), 0.2), AtrSettings(), SheSettings(((3, 4), (5, 2))))


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(resolve("bundled"))


def first(count: int) -> Dataset:
    return choose_samples(SCENES, limit=count)


def keys(dataset: Dataset) -> list[str]:
    return [sample.key for sample in dataset.samples]


# Parting pictures


def test_no_picture_is_in_both_parts() -> None:
    parts = split(SCENES, seed=3)
    assert len(parts.for_heads.samples) == len(parts.for_search.samples) == 12
    assert sorted(keys(parts.for_heads) + keys(parts.for_search)) == sorted(keys(SCENES))
    assert keys(split(SCENES, seed=3).for_heads) == keys(parts.for_heads)
    assert keys(split(SCENES, seed=4).for_heads) != keys(parts.for_heads)
    assert parts.for_heads.names == SCENES.names


def test_sizes_of_the_parts() -> None:
    parts = split(SCENES, images_for_heads=3, limit=10, seed=0)
    assert (len(parts.for_heads.samples), len(parts.for_search.samples)) == (3, 7)
    for_heads, limit = 10, 10
    with pytest.raises(InputError, match=r"10 images .* into 10 .* --images-for-heads"):
        split(SCENES, images_for_heads=for_heads, limit=limit, seed=0)
    with pytest.raises(InputError, match="1 images"):
        split(SCENES, limit=1, seed=0)


# Measuring


def test_the_ranking_is_that_of_the_survey(checkpoint: Checkpoint) -> None:
    progress: list[tuple[int, int]] = []
    measured = measure_heads(checkpoint, first(2), progress=lambda *state: progress.append(state))
    vision = checkpoint.model.vision
    expected = survey(vision, patch_batches(first(2), checkpoint), atr=AtrSettings())
    assert measured.survey == expected
    assert measured.gap is None  # no token of this model is sparse
    findings = measured.findings(Grid())
    assert findings.atr == AtrSettings()
    assert findings.depth == 8
    assert findings.ranking == expected.ranking()
    assert len(findings.ranking) == 28
    assert findings.layers == len(measured.falling) > 0
    assert progress == [(2, 4), (4, 4)]


def made_up(*aucs: float) -> Survey:
    layers = {layer: Estimate(auc, 0, 1, 9, 9) for layer, auc in enumerate(aucs, start=1)}
    heads = {(layer, 1): estimate for layer, estimate in layers.items()}
    return Survey(layers, heads, {})


def test_the_last_layer_is_no_layer_of_ssr() -> None:
    measured = Measured(None, made_up(0.6, 0.8, 0.79, 0.7, 0.2))
    assert measured.falling == (4,)
    assert measured.findings(Grid()).layers == 1


def test_ssr_goes_by_depth_where_nothing_falls() -> None:
    measured = Measured(None, made_up(*(0.05 * layer for layer in range(12))))
    assert measured.falling == ()
    assert measured.findings(Grid()).layers == 2


def test_the_gap_is_the_threshold() -> None:
    measured = Measured(0.4321, made_up(0.6, 0.5))
    assert measured.findings(Grid()).atr == AtrSettings(threshold=0.432)


def test_a_tower_of_one_layer_cannot_be_calibrated(checkpoint: Checkpoint) -> None:
    vision = checkpoint.model.vision
    single = Checkpoint(**{name: getattr(checkpoint, name) for name in checkpoint.__slots__})
    blocks, vision.blocks = vision.blocks, vision.blocks[-1:]
    try:
        with pytest.raises(InputError, match="one layer"):
            measure_heads(single, first(1))
    finally:
        vision.blocks = blocks


# Writing down


def test_the_preset_tells_how_it_was_made(tmp_path: Path) -> None:
    parts = split(SCENES, images_for_heads=4, limit=10, seed=5)
    measured = Measured(0.4, made_up(0.6, 0.8, 0.79, 0.7, 0.2))
    grid = Grid(alphas=(0.2,), more_layers=(0,), heads=(2,), betas=(0.4,))

    def count(settings: LhtSettings) -> float:
        return 10.0 + sum(part is not None for part in (settings.ssr, settings.atr, settings.she))

    found = search(measured.findings(grid), count)
    preset = preset_of(measured, found, parts, grid=grid, model="X", method="naclip")
    assert preset.ssr == SsrSettings((4,), 0.2)
    assert preset.atr == AtrSettings(0.4)
    assert preset.she == SheSettings(((2, 1), (3, 1)))
    assert preset.ranking == ((2, 1), (3, 1), (4, 1), (1, 1))
    assert "4 labelled images" in preset.source
    assert "6 others with naclip" in preset.source
    made = preset.made
    assert made["lhtclip"] == __version__
    assert (made["model"], made["method"], made["data"]) == ("X", "naclip", "scenes")
    assert (made["seed"], made["images"]) == (5, {"heads": 4, "search": 6})
    assert made["sparsity_gap"] == 0.4
    assert made["falling_layers"] == [4]
    assert made["heads"] == [0.8, 0.79, 0.7, 0.6]
    assert made["mean_iou"] == {"no technique": 10.0, "chosen": 13.0}
    assert made["grid"] == {name: list(values) for name, values in asdict(grid).items()}
    assert [step["step"] for step in made["steps"]] == [step.name for step in found.steps]
    assert made == json.loads(json.dumps(made))
    assert Preset.load(preset.save(tmp_path / "lht.json")) == preset


def test_a_preset_of_nothing_switches_nothing_on() -> None:
    parts = split(SCENES, limit=2, seed=0)
    measured = Measured(None, made_up(0.6, 0.8, 0.7))
    found = search(measured.findings(Grid()), lambda settings: -float(settings != OFF))
    preset = preset_of(measured, found, parts, grid=Grid(), model="X", method="sclip")
    assert preset.she is None
    assert preset.ssr == SsrSettings(())
    assert preset.ranking == ((2, 1), (1, 1))
