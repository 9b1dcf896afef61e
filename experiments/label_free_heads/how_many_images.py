"""How many images a head ranking needs, with labels and without.

`python -m experiments.label_free_heads.how_many_images --model src/lhtclip/data/bundled --scenes
runs/ranked` ranks heads on parts of the images and prints Spearman's correlation with the
labelled ranking of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.label_free_heads.compare import WINDOWS, labelled_scores
from experiments.label_free_heads.rank_all import rank_by_all
from lhtclip.analysis.compare import spearman
from lhtclip.analysis.patches import image_files, window_batches
from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.datasets.dataset import Dataset
from lhtclip.datasets.scenes import read_scenes

PARTS = 4  # most parts of a size; their mean and lowest are printed


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True, help="images to rank heads on")
    parser.add_argument("--rankings", nargs="+", default=["clusters", "consensus"])
    parser.add_argument("--images", nargs="+", type=int, default=[8, 16, 32, 64])
    options = parser.parse_args()
    checkpoint, dataset = load_checkpoint(options.model), read_scenes(options.scenes)
    reference = labelled_scores(checkpoint, dataset)
    print(f"| images | {' | '.join(options.rankings)} | labelled |")
    print("|---|" + "---|" * (len(options.rankings) + 1))
    for count in options.images:
        rows = [
            [
                spearman(scores, reference)
                for scores in _rankings(checkpoint, part, options.rankings)
            ]
            for part in parts(dataset, count)
        ]
        shown = [f"{np.mean(row):.2f} ({min(row):.2f})" for row in zip(*rows, strict=True)]
        print(f"| {count} | {' | '.join(shown)} |", flush=True)


def parts(dataset: Dataset, count: int) -> Iterator[Dataset]:
    """Yield up to `PARTS` parts of so many images, none of them in two."""
    for start in range(0, min(len(dataset.samples) - count + 1, PARTS * count), count):
        yield replace(dataset, samples=dataset.samples[start : start + count])


def _rankings(
    checkpoint: Checkpoint, dataset: Dataset, names: Sequence[str]
) -> Iterator[dict[tuple[int, int], float]]:
    batches = window_batches(image_files(dataset), checkpoint, batch=WINDOWS)
    found = rank_by_all(checkpoint.model.vision, batches, rankings=names)
    yield from (found[name] for name in names)
    yield labelled_scores(checkpoint, dataset)


if __name__ == "__main__":
    main()
