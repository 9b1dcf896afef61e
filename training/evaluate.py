"""Measure the bundled model on scenes and images that neither training nor calibration saw.

`python -m training.evaluate --artwork node_modules --model src/lhtclip/data/bundled` prints the
tables of the model card. Segmentation runs at the default settings.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.datasets.dataset import Dataset
from lhtclip.datasets.samples import own_vocabulary
from lhtclip.datasets.scene_files import save_scenes
from lhtclip.datasets.scenes import read_scenes
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.runner import evaluate
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.presets import PRESET_FILE, Preset
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.text.embeddings import TextEncoder
from training.held_out import TEST_SEED, make_scenes
from training.recipe import HELD_OUT_STYLES, TRAINING_STYLES
from training.zero_shot import zero_shot_accuracy


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artwork", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint folder")
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--images", type=int, default=1000, help="for zero-shot accuracy")
    options = parser.parse_args()
    checkpoint = load_checkpoint(options.model)
    preset = Preset.load(options.model / PRESET_FILE)
    texts = TextEncoder.of(checkpoint, cache=False)  # one for all rows: no phrase is encoded twice
    print("| single objects, all names as candidates | top-1 % | top-5 % |\n|---|---|---|")
    for title, styles in (
        ("artwork styles of training, new images", TRAINING_STYLES),
        *((f"{style}, never seen", (style,)) for style in HELD_OUT_STYLES),
    ):
        first, five = zero_shot_accuracy(
            checkpoint, options.artwork, styles=styles, images=options.images, seed=TEST_SEED
        )
        print(f"| {title} | {100 * first:.1f} | {100 * five:.1f} |", flush=True)
    with TemporaryDirectory() as folder:
        sets = _test_sets(options.artwork, Path(folder), options.scenes)
        print(f"\n| mIoU % | {' | '.join(sets)} |\n|---{'|---' * len(sets)}|")
        for name, encoder in _rows(checkpoint, preset).items():
            segmenter = Segmenter(checkpoint, encoder, texts)
            scores = [_mean_iou(segmenter, dataset, name) for dataset in sets.values()]
            print(f"| {name} | {' | '.join(f'{score:.1f}' for score in scores)} |", flush=True)


def _test_sets(artwork: Path, folder: Path, count: int) -> dict[str, Dataset]:
    sets: dict[str, Dataset] = {}
    for title, styles, unseen_pairs in (
        ("training styles", TRAINING_STYLES, False),
        ("training styles, unseen pairs", TRAINING_STYLES, True),
        *((f"{style}, never seen", (style,), False) for style in HELD_OUT_STYLES),
    ):
        scenes = make_scenes(
            artwork, styles=styles, count=count, seed=TEST_SEED, unseen_pairs=unseen_pairs
        )
        save_scenes(folder / title, scenes)
        sets[title] = read_scenes(folder / title)
    return sets


def _rows(checkpoint: Checkpoint, preset: Preset) -> dict[str, DenseEncoder]:
    lht = preset.select(lht=True)
    combinations = {
        "no technique": OFF,
        "ATR": replace(OFF, atr=lht.atr),
        "SSR": replace(OFF, ssr=lht.ssr),
        "SHE": replace(OFF, she=lht.she),
        "ATR+SSR": replace(lht, she=None),
        "ATR+SHE": replace(lht, ssr=None),
        "SSR+SHE": replace(lht, atr=None),
    }

    def encoder(method: str, settings: LhtSettings, *, bare: bool) -> DenseEncoder:
        keep = False if bare else None
        return DenseEncoder(checkpoint.model, method=method, lht=settings, residual=keep, mlp=keep)

    rows = {
        "clip": encoder("clip", OFF, bare=False),
        "maskclip": encoder("maskclip", OFF, bare=False),
        "maskclip, no residual, no MLP": encoder("maskclip", OFF, bare=True),
        "sclip": encoder("sclip", OFF, bare=False),
    }
    for name, settings in combinations.items():
        rows[f"sclip, no residual, no MLP; {name}"] = encoder("sclip", settings, bare=True)
    for method in ("sclip", "clearclip", "naclip"):
        if method != "sclip":
            rows[method] = encoder(method, OFF, bare=False)
        rows[f"{method} + LHT"] = encoder(method, lht, bare=True)
    return rows


def _mean_iou(segmenter: Segmenter, dataset: Dataset, name: str) -> float:
    evaluation = evaluate(segmenter, dataset, own_vocabulary(dataset))
    print(f"{name}: {evaluation.images} scenes", file=sys.stderr, flush=True)
    return 100 * evaluation.confusion.mean_iou


if __name__ == "__main__":
    main()
