"""Which images of a data set are used, and the classes that each of them may have."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.datasets.dataset import Dataset, Sample, Truth
from lhtclip.errors import InputError
from lhtclip.segmentation import ignored_label, label_dtype
from lhtclip.text.vocabulary import Vocabulary


def choose_samples(
    dataset: Dataset, *, limit: int | None = None, seed: int | None = None
) -> Dataset:
    """Keep some images of a data set.

    A larger limit keeps the images of a smaller one, with a seed in other places of the list.

    Args:
        dataset: The whole data set.
        limit: Number of images to keep; None for all.
        seed: Shuffle the images first, the same way on every machine.

    Raises:
        InputError: The limit is below 1, or there is no image.
    """
    if limit is not None and limit < 1:
        raise InputError(f"At least 1 image must be evaluated, not {limit}.")
    if not dataset.samples:
        raise InputError(f"The data set {dataset.name} has no images.")
    samples = dataset.samples
    if seed is not None:
        samples = sorted(samples, key=lambda sample: _place(sample, seed))
    return replace(dataset, samples=tuple(samples[:limit]))


def check_vocabulary(dataset: Dataset, vocabulary: Vocabulary) -> None:
    """Check that a vocabulary has an entry for each class of a data set.

    Raises:
        InputError: Their numbers differ.
    """
    if len(vocabulary.names) != len(dataset.names):
        raise InputError(
            f"{dataset.name} has {len(dataset.names)} classes, but words for "
            f"{len(vocabulary.names)} were given; give one entry per class, in the order of its "
            "labels."
        )


def own_vocabulary(dataset: Dataset) -> Vocabulary:
    """Return a data set's own prompts, or its names if it has none."""
    return Vocabulary.of(dataset.classes or dataset.names, allow_shared_queries=True)


def vocabulary_of(sample: Sample, vocabulary: Vocabulary) -> Vocabulary:
    """Return the vocabulary of an image: its candidates, in their order."""
    if sample.candidates is None:
        return vocabulary
    synonyms: dict[int, list[str]] = {}
    for query, index in zip(vocabulary.queries, vocabulary.class_of_query, strict=True):
        synonyms.setdefault(index, []).append(query)
    words = [synonyms.get(index, []) for index in sample.candidates]
    background = vocabulary.background
    return Vocabulary(
        names=tuple(vocabulary.names[index] for index in sample.candidates),
        queries=tuple(query for queries in words for query in queries),
        class_of_query=tuple(place for place, queries in enumerate(words) for _ in queries),
        background=sample.candidates.index(background) if background in sample.candidates else None,
    )


def labels_of_set(sample: Sample, labels: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Convert labels that index an image's candidates to labels of the whole data set."""
    return labels if sample.candidates is None else np.array(sample.candidates)[labels]


def labels_of_sample(sample: Sample, truth: Truth) -> Truth:
    """Convert labels of the whole data set to labels that index an image's candidates."""
    if sample.candidates is None:
        return truth
    dtype = label_dtype(len(sample.candidates))
    table = np.full(ignored_label(truth.dtype) + 1, ignored_label(dtype), dtype)
    table[list(sample.candidates)] = np.arange(len(sample.candidates))
    return table[truth]


def queries_of(dataset: Dataset, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return every prompt that the images of a data set are labelled with, without repeats."""
    candidates = {sample.candidates: sample for sample in dataset.samples}
    return tuple(
        dict.fromkeys(
            query
            for sample in candidates.values()
            for query in vocabulary_of(sample, vocabulary).queries
        )
    )


def _place(sample: Sample, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {sample.key}".encode()).digest()
