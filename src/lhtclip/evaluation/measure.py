"""One number of a table: a method with some techniques, on a data set, by a protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.config import SegmenterConfig
from lhtclip.datasets import Dataset
from lhtclip.evaluation.fingerprint import decisive_settings
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.runner import Evaluation, Running, evaluate
from lhtclip.segmenter import Segmenter
from lhtclip.text.embeddings import TextEncoder


def measure(
    config: SegmenterConfig,
    dataset: Dataset,
    protocol: Protocol,
    *,
    checkpoint: Checkpoint | None = None,
    texts: TextEncoder | None = None,
    folder: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[Running], None] | None = None,
) -> Evaluation:
    """Evaluate a method on a data set.

    Args:
        config: Model, method and techniques; the rest follows from the protocol.
        dataset: The images.
        protocol: How images are resized and cut, which class names stand for the classes, how
            logits become labels, and which settings the method has on this data set.
        checkpoint: The model, if it is already loaded.
        texts: Embeds the class names; by default with the protocol's templates.
        folder: Keeps the counts, each run in a subfolder named after everything that decides them.
            A run that was stopped resumes there. None keeps nothing.
        overwrite: Start over, whatever the folder holds.
        progress: Called before the first image and after each.

    Raises:
        UnknownNameError: There is no such method.
        InputError: An image or its ground truth is missing, broken, or they do not fit together.
    """
    config = protocol.configure(config)
    segmenter = Segmenter.from_config(config, checkpoint=checkpoint, texts=texts)
    vocabulary = protocol.vocabulary(dataset)
    if folder is not None:
        settings = json.dumps(decisive_settings(segmenter, dataset, vocabulary))
        digest = hashlib.sha256(settings.encode()).hexdigest()[:16]
        folder /= f"{segmenter.encoder.method.name}-{digest}"
    return evaluate(
        segmenter,
        dataset,
        vocabulary,
        folder=folder,
        overwrite=overwrite,
        trimap=0,
        progress=progress,
    )
