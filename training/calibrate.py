"""Make the bundled model's preset: rank heads and choose settings, on training scenes alone.

`python -m training.calibrate --artwork node_modules --model runs/bundled` chooses SSR, then ATR,
then heads by visual discriminability, then the rest of SHE; each by the best mIoU on scenes in the
training styles. No test scene and no held-out style is looked at.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lhtclip.analysis.discriminability import patch_labels
from lhtclip.analysis.heads import rank_heads
from lhtclip.clip.checkpoint import Checkpoint, load_checkpoint
from lhtclip.dense import DenseEncoder
from lhtclip.evaluation.scenes import new_confusion, scenes_confusion
from lhtclip.images import read_image, to_pixels
from lhtclip.scenes import Scene, save_scenes
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import PRESET_FILE, Preset
from lhtclip.techniques.settings import LhtSettings
from lhtclip.techniques.she import Head, SheSettings
from lhtclip.techniques.ssr import SsrSettings
from lhtclip.text_embeddings import TextEncoder
from training.held_out import CALIBRATION_SEED, make_scenes
from training.recipe import TRAINING_STYLES

ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.3)
THRESHOLDS = (0.5, 0.4, 0.8)  # of equals the first wins
BETAS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
HEAD_COUNTS = (3, 6, 10)
HEAD_SCENES = 16  # 16 windows of 196 patches are 5 million pairs a head


def main() -> None:
    """Calibrate a checkpoint and write its preset beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artwork", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint folder")
    parser.add_argument("--scenes", type=int, default=48)
    options = parser.parse_args()
    folder = options.model / "calibration"
    scenes = save_scenes(
        folder,
        make_scenes(
            options.artwork, styles=TRAINING_STYLES, count=options.scenes, seed=CALIBRATION_SEED
        ),
    )
    preset = Calibration(options.model, scenes).run()
    preset.save(options.model / PRESET_FILE)


class Calibration:
    """A checkpoint and the scenes that settings are compared on."""

    def __init__(self, folder: Path, scenes: Sequence[Scene]) -> None:
        self.checkpoint = load_checkpoint(folder)
        self.scenes = scenes
        self.texts = TextEncoder.of(self.checkpoint, cache=False)

    def run(self) -> Preset:
        """Choose SSR, ATR, heads and SHE, one after the other, and SSR once more beside SHE."""
        layers = self.checkpoint.model.config.vision.num_hidden_layers
        reweightings = [
            SsrSettings(layers=tuple(range(layers - count, layers)), alpha=alpha)
            for count in (1, 2, 3, 4)
            for alpha in ALPHAS
        ]
        best = self._best(LhtSettings(ssr=ssr) for ssr in reweightings)
        best = self._best(replace(best, atr=AtrSettings(threshold=t)) for t in THRESHOLDS)
        heads = _ranked_heads(self.checkpoint, self.scenes[:HEAD_SCENES])
        for (layer, head), auc in heads:
            _say(f"head {layer}-{head}  AUC {auc:.3f}")
        best = self._best(
            replace(
                best,
                she=SheSettings(
                    heads=tuple(head for head, _ in heads[:count]), beta=beta, centred=centred
                ),
            )
            for count in HEAD_COUNTS
            for centred in (False, True)
            for beta in BETAS
        )
        she = best.she
        assert she
        best = self._best(
            replace(best, she=replace(she, normalise=normalise, unit_heads=unit_heads))
            for normalise in ("column", "row")
            for unit_heads in (False, True)
        )
        best = self._best(replace(best, ssr=ssr) for ssr in reweightings)
        assert best.ssr
        assert best.atr
        return Preset(
            ssr=best.ssr,
            atr=best.atr,
            she=best.she,
            source=f"training.calibrate on {len(self.scenes)} training scenes",
        )

    def _best(self, candidates: Iterable[LhtSettings]) -> LhtSettings:
        scored: list[tuple[float, LhtSettings]] = []
        for settings in candidates:
            encoder = DenseEncoder(self.checkpoint.model, method="sclip", lht=settings)
            segmenter = Segmenter(self.checkpoint, encoder, self.texts)
            _, confusion = scenes_confusion(segmenter, self.scenes)
            scored.append((100 * confusion.mean_iou, settings))
            _say(f"{scored[-1][0]:6.2f} mIoU  {settings!r}")
        return max(scored, key=lambda pair: pair[0])[1]


def _ranked_heads(checkpoint: Checkpoint, scenes: Sequence[Scene]) -> list[tuple[Head, float]]:
    """Rank heads on the windows in the middle of the scenes, all scenes' classes in one count."""
    names = {name: i for i, name in enumerate(new_confusion(scenes).names)}
    vision = checkpoint.model.vision
    side, patch = vision.config.image_size, vision.config.patch_size
    pixels: list[Tensor] = []
    labels: list[Tensor] = []
    for scene in scenes:
        image, truth = read_image(scene.image), scene.truth()
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        window = slice(top, top + side), slice(left, left + side)
        pixels.append(to_pixels(image[window], (side, side)))
        labels.append(
            torch.tensor([names[name] for name in scene.names])[truth[window].astype(int)]
        )
    return rank_heads(vision, torch.stack(pixels), patch_labels(torch.stack(labels), patch))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
