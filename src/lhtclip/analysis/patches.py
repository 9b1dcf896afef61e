"""Cut a data set into windows and patch labels, for the measures of `analysis`.

Windows have the size that the tower was trained with, so that positions are used as trained. They
are adjacent; the last one in a row or column is shifted inwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lhtclip.analysis.discriminability import UNLABELLED, patch_labels
from lhtclip.analysis.survey import PatchBatch
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.datasets import Dataset, Sample, Truth
from lhtclip.image.pixels import ImageSource, read_image, resized_shape
from lhtclip.image.windows import WindowPlan, plan_windows
from lhtclip.segmentation import ignored_label

Item = TypeVar("Item")
PURITY = 0.75  # least share of a patch that its class must fill


def patch_batches(
    dataset: Dataset,
    checkpoint: Checkpoint,
    *,
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[PatchBatch]:
    """Cut labelled images into windows.

    Args:
        dataset: The images, in order.
        checkpoint: Its tower and how it normalises pixels.
        batch: Maximum windows per batch; an image's windows may be split over two.
        progress: Called with the number of images read and the total.

    Raises:
        InputError: An image or its ground truth is missing or broken, or they do not match.
    """
    patch = checkpoint.model.vision.config.patch_size
    windows = _labelled_windows(dataset, checkpoint, progress)
    for group in _groups(windows, batch):
        pixels, truth, offered = (torch.stack(part) for part in zip(*group, strict=True))
        labels = patch_labels(truth, patch, purity=PURITY)
        yield PatchBatch(pixels, labels.to(pixels.device), offered.to(pixels.device))


def window_batches(
    images: Iterable[ImageSource], checkpoint: Checkpoint, *, batch: int = 16
) -> Iterator[Tensor]:
    """Cut unlabelled images into windows: normalised pixels (windows, 3, side, side).

    Raises:
        InputError: An image is missing or broken.
    """
    windows = (window for image in images for window in _windows(read_image(image), checkpoint)[1])
    for group in _groups(windows, batch):
        yield torch.stack(group)


def image_files(dataset: Dataset) -> list[Path]:
    """Return the image files of a data set."""
    return [sample.image for sample in dataset.samples]


def _labelled_windows(
    dataset: Dataset, checkpoint: Checkpoint, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for done, sample in enumerate(dataset.samples, start=1):
        plan, pixels = _windows(read_image(sample.image), checkpoint)
        labels = _resized(sample.truth(), (plan.height, plan.width))
        labels = plan.cut(torch.from_numpy(labels))
        offered = _offered(sample, len(dataset.names))
        if progress is not None:
            progress(done, len(dataset.samples))
        yield from zip(pixels, labels, offered.expand(len(pixels), -1), strict=True)


def _windows(image: NDArray[np.uint8], checkpoint: Checkpoint) -> tuple[WindowPlan, Tensor]:
    side = checkpoint.model.vision.config.image_size
    height, width = resized_shape(*image.shape[:2], short_side=side, long_side=8 * side)
    plan = plan_windows(max(height, side), max(width, side), window=side, stride=side)
    return plan, plan.cut(checkpoint.to_pixels(image, (plan.height, plan.width)))


def _resized(truth: Truth, size: tuple[int, int]) -> NDArray[np.int32]:
    """Resize labels to the nearest pixel; ignored ones become `UNLABELLED`."""
    height, width = size
    counts = truth != ignored_label(truth.dtype)
    labels = Image.fromarray(np.where(counts, truth.astype(np.int32), UNLABELLED))
    return np.array(labels.resize((width, height), Image.Resampling.NEAREST))


def _offered(sample: Sample, classes: int) -> Tensor:
    if sample.candidates is None:
        return torch.ones(classes, dtype=torch.bool)
    return torch.zeros(classes, dtype=torch.bool).index_fill(
        0, torch.tensor(sample.candidates), value=True
    )


def _groups(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    group: list[Item] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
