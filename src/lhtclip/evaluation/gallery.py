"""The pictures that went worst, to look at: what they show, what is true, what was found."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lhtclip.datasets.dataset import Sample, Truth
from lhtclip.evaluation.runner import Evaluation
from lhtclip.evaluation.streaming import Labels, count_samples
from lhtclip.files import write_atomically
from lhtclip.image.pixels import read_image
from lhtclip.output.overlay import add_legend, draw_classes
from lhtclip.output.palette import class_colours
from lhtclip.output.png import encode_picture
from lhtclip.output.side_by_side import side_by_side
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

_OPACITY = 0.6


def worst_samples(evaluation: Evaluation, count: int) -> tuple[Sample, ...]:
    """Return the pictures of lowest mean IoU, the worst first; those where nothing counts never."""
    scores = evaluation.image_iou
    counted = [each for each in evaluation.dataset.samples if not math.isnan(scores[each.key])]
    return tuple(sorted(counted, key=lambda sample: scores[sample.key])[:count])


def write_gallery(
    segmenter: Segmenter,
    vocabulary: Vocabulary,
    evaluation: Evaluation,
    folder: Path,
    *,
    count: int,
    workers: int = 2,
) -> list[Path]:
    """Label the worst pictures once more and lay them out, with their truth beside them.

    Args:
        segmenter: What labelled.
        vocabulary: The words of all classes.
        evaluation: The run.
        folder: Takes `<data set>.worst/01-<key>.png` and so on, in place of what was there.
        count: How many.
        workers: Threads that read and draw.

    Returns:
        The files, the worst first.
    """
    dataset = replace(evaluation.dataset, samples=worst_samples(evaluation, count))
    rank = {sample.key: number for number, sample in enumerate(dataset.samples, start=1)}
    colours = class_colours(len(dataset.names), background=vocabulary.background)
    own = folder / f"{dataset.name}.worst"
    for old in own.glob("*.png"):
        old.unlink()

    def draw(sample: Sample, truth: Truth, labels: Labels) -> Path:
        image = read_image(sample.image, max_pixels=segmenter.max_pixels)
        tinted = {
            title: draw_classes(image, _colourless(values, len(colours)), colours, opacity=_OPACITY)
            for title, values in (
                ("truth", truth),
                (f"found, mIoU {100 * evaluation.image_iou[sample.key]:.2f} %", labels),
            )
        }
        sheet = side_by_side({sample.key: Image.fromarray(image)} | tinted)
        seen = np.unique(np.concatenate([truth.ravel(), labels.ravel()]))
        present = [int(label) for label in seen if label >= 0]
        return write_atomically(
            own / f"{rank[sample.key]:02d}-{sample.key}.png",
            encode_picture(add_legend(sheet, present, dataset.names, colours)),
        )

    drawn = count_samples(
        segmenter,
        dataset.samples,
        vocabulary,
        draw,
        chunk=max(1, len(dataset.samples)),
        workers=workers,
    )
    return list(drawn)


def _colourless(labels: Labels, classes: int) -> Labels:
    """Give ignored pixels a label that has no colour."""
    return np.where(labels < 0, classes, labels)
