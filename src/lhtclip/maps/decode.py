"""Rows of the map from the logits of windows: blended, upsampled, labelled by columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.decoding.online_softmax import find_winners
from lhtclip.maps.job import STEPS, Job
from lhtclip.maps.parts import Strip
from lhtclip.segmentation import label_dtype
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

_TILE = 512  # columns decoded at once


def decode_rows(
    logits: Tensor,
    job: Job,
    rows: tuple[int, int],
    vocabulary: Vocabulary,
    segmenter: Segmenter,
    hidden: NDArray[np.bool_],
) -> Strip:
    """Decode rows of the map from the logits of the windows that overlap them.

    Args:
        logits: Cosines (window rows, window columns, grid rows, grid columns, queries).
        job: The raster and its windows.
        rows: First row and last row + 1, on the map's grid.
        vocabulary: The classes.
        segmenter: Has the logit scale and the threshold.
        hidden: Pixels that become nodata (rows, columns).
    """
    settings, decoding = job.source.settings, segmenter.decoding
    count, height = len(vocabulary.names), rows[1] - rows[0]
    order, down = job.down.shares(*rows)
    tall = logits.permute(4, 0, 2, 1, 3).flatten(1, 2)[:, order] * decoding.logit_scale
    tall = torch.einsum("yp,qpcg->qycg", down, tall)  # (Q, rows, window columns, grid columns)
    owner = torch.tensor(vocabulary.class_of_query, dtype=torch.float32).view(-1, 1, 1)
    labels = np.zeros((height, job.width), label_dtype(count))
    scores = np.zeros((height, job.width), np.uint8) if settings.scores else None
    shares = np.zeros((count, height, job.width), np.uint8) if settings.probabilities else None
    for part in _tiles(job.width):
        if hidden[:, part].all():
            continue
        tile = _upsampled(tall, job, part)
        if shares is not None:
            shares[:, :, part] = _steps(_class_probabilities(tile, vocabulary))
        best = find_winners(tile, owner)
        probability = best.total.reciprocal()
        winner = best.winner.nan_to_num(0).masked_fill(probability < decoding.threshold, 0)
        labels[:, part] = winner.numpy().astype(labels.dtype)
        if scores is not None:
            scores[:, part] = _steps(probability)
    labels[hidden] = np.iinfo(labels.dtype).max
    for each in (scores, shares):
        if each is not None:
            each[..., hidden] = 255
    return Strip(rows[0] - job.top, labels, scores, shares)


def _tiles(width: int) -> Iterator[slice]:
    return (slice(left, min(left + _TILE, width)) for left in range(0, width, _TILE))


def _upsampled(tall: Tensor, job: Job, part: slice) -> Tensor:
    """Upsample the width for some columns of the frame: (Q, rows, columns)."""
    first, left, right = job.columns[0], job.left + part.start, job.left + part.stop
    begin, behind = job.across.needed(left, right)
    order, matrix = job.across.shares(left, right)
    near = tall[:, :, begin - first : behind - first].flatten(2)[..., order]
    return near @ matrix.T


def _class_probabilities(tile: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return the softmax over prompts, of each class the best: (classes, rows, columns)."""
    chances = tile.softmax(dim=0)
    whole = torch.zeros(len(vocabulary.names), *tile.shape[1:])
    for own, chance in zip(vocabulary.class_of_query, chances, strict=True):
        torch.maximum(whole[own], chance, out=whole[own])
    return whole


def _steps(probability: Tensor) -> NDArray[np.uint8]:
    return (probability * STEPS).round().to(torch.uint8).numpy()
