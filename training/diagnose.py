"""Analyse the bundled model's errors: labels of things' pixels, and the sparsity of its tokens.

`python -m training.diagnose --artwork node_modules --model src/lhtclip/data/bundled` uses 24 of the
scenes that the preset was chosen on, with `sclip` without residual, MLP and techniques.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.datasets.scene_files import save_scenes
from lhtclip.encoder import DenseEncoder
from lhtclip.image.pixels import read_image
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.atr import hoyer
from lhtclip.text.embeddings import TextEncoder
from training.held_out import CALIBRATION_SEED, make_scenes
from training.recipe import TRAINING_STYLES
from training.words import MATERIALS

SCENES = 24


@torch.inference_mode()
def main() -> None:
    """Print both findings."""
    parser = argparse.ArgumentParser(description="Where the bundled model errs.")
    parser.add_argument("--artwork", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint folder")
    options = parser.parse_args()
    checkpoint = load_checkpoint(options.model)
    encoder = DenseEncoder(checkpoint.model, residual=False, mlp=False)
    segmenter = Segmenter(checkpoint, encoder, TextEncoder.of(checkpoint, cache=False))
    materials = {material.name for material in MATERIALS}
    fate = {"right": 0, "as a material": 0, "as another thing": 0}
    highest = torch.zeros(len(checkpoint.model.vision.blocks))
    with TemporaryDirectory() as folder:
        pictures = make_scenes(
            options.artwork, styles=TRAINING_STYLES, count=SCENES, seed=CALIBRATION_SEED
        )
        for scene in save_scenes(folder, pictures):
            truth = scene.truth()
            labels = segmenter.segment(scene.image, list(scene.names)).labels
            is_material = np.array([name in materials for name in scene.names])
            of_things = ~is_material[truth]
            right, material = labels == truth, is_material[labels]
            fate["right"] += int((of_things & right).sum())
            fate["as a material"] += int((of_things & ~right & material).sum())
            fate["as another thing"] += int((of_things & ~right & ~material).sum())
            window = np.ascontiguousarray(read_image(scene.image)[:224, :224])
            pixels = checkpoint.to_pixels(window, (224, 224))
            x = checkpoint.model.vision.embed(pixels[None])
            for layer, block in enumerate(checkpoint.model.vision.blocks):
                x = block(x)
                highest[layer] = torch.maximum(highest[layer], hoyer(x[:, 1:]).max())
    total = sum(fate.values())
    for name, pixels in fate.items():
        print(f"pixels of things labelled {name}: {100 * pixels / total:.0f} %")
    print("largest Hoyer score by layer:", " ".join(f"{value:.2f}" for value in highest.tolist()))


if __name__ == "__main__":
    main()
