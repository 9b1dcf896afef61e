"""Reads images ahead in threads, labels them here, and counts behind in threads, in order.

The batches depend on the chunks only, never on the threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lhtclip.batch.prefetch import in_order
from lhtclip.datasets.dataset import Sample, Truth
from lhtclip.datasets.samples import vocabulary_of
from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

T = TypeVar("T")

Count = Callable[[Sample, Truth, Segmentation], T]

_IN_FLIGHT = 2  # images that a thread may be ahead of the encoder, or behind it


def count_samples(
    segmenter: Segmenter,
    samples: Sequence[Sample],
    vocabulary: Vocabulary,
    count: Count[T],
    *,
    chunk: int,
    workers: int,
) -> Iterator[T]:
    """Label images and call `count` with the ground truth and the result of each.

    This is the one loop that labels a data set: evaluations, galleries and the demo all use it.

    Args:
        segmenter: Gets the images in chunks, each of them as one list.
        samples: The images.
        vocabulary: The names of all classes. A sample with candidates is labelled with theirs only.
        count: Called in a thread with the sample, its ground truth as indices into all classes,
            and the result, whose labels are indices into the sample's own candidates.
        chunk: Images of a chunk.
        workers: Threads.

    Yields:
        What `count` returned, in the order of the samples.

    Raises:
        InputError: An image or its ground truth is missing or broken, or they do not match.
    """
    pool = ThreadPoolExecutor(workers)
    most = _IN_FLIGHT * workers

    def counting() -> Iterator[Future[T]]:
        reading = (pool.submit(_read, each, segmenter.max_pixels) for each in samples)
        read = in_order(reading, most=most)
        try:
            for start in range(0, len(samples), chunk):
                part = samples[start : start + chunk]
                for sample, truth, result in _label(segmenter, part, vocabulary, read):
                    yield pool.submit(count, sample, truth, result)
        except InputError as error:  # raised in its turn, after all images before it
            failed: Future[T] = Future()
            failed.set_exception(error)
            yield failed

    try:
        yield from in_order(counting(), most=most)
    finally:
        pool.shutdown(cancel_futures=True)


def _label(
    segmenter: Segmenter,
    samples: Sequence[Sample],
    vocabulary: Vocabulary,
    read: Iterator[tuple[NDArray[np.uint8], Truth]],
) -> Iterator[tuple[Sample, Truth, Segmentation]]:
    """Label one chunk, each image with the names of its candidates."""
    truths: deque[Truth] = deque()

    def images() -> Iterator[NDArray[np.uint8]]:
        for _ in samples:
            image, truth = next(read)
            truths.append(truth)
            yield image

    for sample, encoded in zip(samples, segmenter.encode_many(images()), strict=True):
        result = encoded.segment(vocabulary_of(sample, vocabulary))
        yield sample, truths.popleft(), result


def _read(sample: Sample, max_pixels: int) -> tuple[NDArray[np.uint8], Truth]:
    image, truth = read_image(sample.image, max_pixels=max_pixels), sample.truth()
    if truth.shape != image.shape[:2]:
        raise InputError(
            f"The ground truth of {sample.image} has {truth.shape[0]} x {truth.shape[1]} pixels, "
            f"its image {image.shape[0]} x {image.shape[1]}."
        )
    return image, truth
