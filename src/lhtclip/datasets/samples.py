"""Which pictures of a data set are taken, and with which words each of them is labelled."""

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
    """Keep some pictures of a data set.

    A larger limit keeps what a smaller one kept, in other places of the list where there is a seed.

    Args:
        dataset: As a reader gives it.
        limit: How many pictures are kept; None for all.
        seed: Put the pictures into a random order first, the same on every machine.

    Raises:
        InputError: The limit is below 1, or there is no picture.
    """
    if limit is not None and limit < 1:
        raise InputError(f"At least 1 picture has to be evaluated, not {limit}.")
    if not dataset.samples:
        raise InputError(f"The data set {dataset.name} has no pictures.")
    samples = dataset.samples
    if seed is not None:
        samples = sorted(samples, key=lambda sample: _place(sample, seed))
    return replace(dataset, samples=tuple(samples[:limit]))


def check_vocabulary(dataset: Dataset, vocabulary: Vocabulary) -> None:
    """Check that the words stand for the classes of a data set.

    Raises:
        InputError: Their numbers differ.
    """
    if len(vocabulary.names) != len(dataset.names):
        raise InputError(
            f"{dataset.name} has {len(dataset.names)} classes, but words for "
            f"{len(vocabulary.names)} were given; give one entry a class, in the order of its "
            "labels."
        )


def own_vocabulary(dataset: Dataset) -> Vocabulary:
    """Return the words that a data set brings along, its names where it brings none."""
    return Vocabulary.of(dataset.classes or dataset.names, allow_shared_queries=True)


def vocabulary_of(sample: Sample, vocabulary: Vocabulary) -> Vocabulary:
    """Return the words that a picture is labelled with: of its candidates, in their order."""
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
    """Turn labels that index an image's own candidates into labels of the whole data set."""
    return labels if sample.candidates is None else np.array(sample.candidates)[labels]


def labels_of_sample(sample: Sample, truth: Truth) -> Truth:
    """Turn labels of the whole data set into labels that index an image's own candidates."""
    if sample.candidates is None:
        return truth
    dtype = label_dtype(len(sample.candidates))
    table = np.full(ignored_label(truth.dtype) + 1, ignored_label(dtype), dtype)
    table[list(sample.candidates)] = np.arange(len(sample.candidates))
    return table[truth]


def queries_of(dataset: Dataset, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return every phrase that the pictures of a data set are labelled with, each once."""
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
