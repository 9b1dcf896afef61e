"""The images with the lowest scores, to look at: image, ground truth and result side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from lhtclip.datasets.dataset import Sample, Truth
from lhtclip.datasets.samples import labels_of_sample
from lhtclip.evaluation.runner import Evaluation
from lhtclip.evaluation.streaming import count_samples
from lhtclip.files import write_atomically
from lhtclip.image.pixels import read_image
from lhtclip.output.png import encode_picture
from lhtclip.output.side_by_side import compare_maps
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary


def worst_samples(evaluation: Evaluation, count: int) -> tuple[Sample, ...]:
    """Return the images of lowest mean IoU, the worst first, without those where nothing counts."""
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
    """Label the worst images once more and draw them next to their ground truth.

    Args:
        segmenter: The one that was evaluated.
        vocabulary: The names of all classes.
        evaluation: The run.
        folder: Gets `<data set>.worst/01-<key>.png` and so on, instead of what was there.
        count: How many images.
        workers: Threads that read and draw.

    Returns:
        The files, the worst first.
    """
    dataset = replace(evaluation.dataset, samples=worst_samples(evaluation, count))
    rank = {sample.key: number for number, sample in enumerate(dataset.samples, start=1)}
    own = folder / f"{dataset.name}.worst"
    for old in own.glob("*.png"):
        old.unlink()

    def draw(sample: Sample, truth: Truth, result: Segmentation) -> Path:
        title = f"found, mIoU {100 * evaluation.image_iou[sample.key]:.2f} %"
        sheet = compare_maps(
            read_image(sample.image, max_pixels=segmenter.max_pixels),
            {"truth": labels_of_sample(sample, truth), title: result.labels},
            result.names,
            result.colours,
            caption=sample.key,
        )
        path = own / f"{rank[sample.key]:02d}-{sample.key}.png"
        return write_atomically(path, encode_picture(sheet))

    drawn = count_samples(
        segmenter,
        dataset.samples,
        vocabulary,
        draw,
        chunk=max(1, len(dataset.samples)),
        workers=workers,
    )
    return list(drawn)
