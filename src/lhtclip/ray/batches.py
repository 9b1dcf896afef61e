"""A callable class for `ray.data.Dataset.map_batches`: batches of images in, label columns out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError
from lhtclip.output.png import encode_labels
from lhtclip.ray.threads import use_threads
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.parsing import Classes
from lhtclip.text.vocabulary import Vocabulary

Batch = dict[str, NDArray[Any]]


class SegmentBatches:
    """Labels batches of images. Each actor loads the model once; whoever creates it loads nothing.

    Adds these columns: "labels" (bytes of a PNG file whose values are class indices), "shares" (the
    share of the pixels of each class), "scores" (the mean score of each class, NaN if absent), and
    "error", which is empty, or says why an image could not be labelled; its labels are empty then.
    """

    def __init__(
        self,
        config: SegmenterConfig,
        classes: Classes | Vocabulary,
        *,
        background: str | None = None,
        column: str = "bytes",
        threads: int | None = None,
    ) -> None:
        """Load the model.

        Args:
            config: All settings.
            classes: As for `Segmenter.segment`.
            background: As for `Segmenter.segment`.
            column: The column of the images: bytes of files, paths, or arrays (height, width, 3).
            threads: CPU threads of this actor; None for as many as it has CPUs in Ray.

        Raises:
            LhtClipError: Something cannot be used.
        """
        use_threads(threads)
        self._column = column
        self._vocabulary = Vocabulary.of(
            classes, background=background, threshold=config.decoding.threshold
        )
        self._segmenter = Segmenter.from_config(config)

    def __call__(self, batch: Batch) -> Batch:
        """Label a batch of columns, whose images share batches of windows.

        Raises:
            InputError: There is no such column.
        """
        if self._column not in batch:
            raise InputError(
                f"There is no column {self._column!r} among {', '.join(batch)}: give `column=`."
            )
        rows = self._rows(batch[self._column])
        columns = {
            "labels": np.array([labels for labels, *_ in rows], dtype=object),
            "shares": np.array([shares for _, shares, *_ in rows]).reshape(len(rows), -1),
            "scores": np.array([scores for _, _, scores, _ in rows]).reshape(len(rows), -1),
            "error": np.array([error for *_, error in rows], dtype=object),
        }
        return batch | columns

    def _rows(self, images: Iterable[Any]) -> list[tuple[bytes, Any, Any, str]]:
        nothing = np.full(len(self._vocabulary.names), np.nan)
        rows: dict[int, tuple[bytes, Any, Any, str]] = {}

        def refuse(place: int, error: InputError) -> None:
            rows[place] = b"", nothing, nothing, str(error)

        items: Iterator[tuple[int, Any]] = enumerate(images)
        for place, encoded in self._segmenter.encode_items(items, on_error=refuse):
            try:
                result = encoded.segment(self._vocabulary)
            except InputError as error:
                refuse(place, error)
            else:
                shares, scores = measures_of(result)
                png = encode_labels(result.labels, result.colours)
                rows[place] = png, np.array(shares), np.array(scores), ""
        return [rows[place] for place in sorted(rows)]


def measures_of(result: Segmentation) -> tuple[list[float], list[float]]:
    """Return each class's share of the pixels and its mean score, NaN where it is absent."""
    count = len(result.names)
    flat = np.minimum(result.labels.ravel(), count)
    pixels = np.bincount(flat, minlength=count + 1)[:count]
    sums = np.bincount(flat, weights=result.scores.ravel(), minlength=count + 1)[:count]
    means = np.divide(sums, pixels, out=np.full(count, np.nan), where=pixels > 0)
    return (pixels / result.labels.size).tolist(), means.tolist()
