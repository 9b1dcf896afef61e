"""One number of a table: a method with some techniques, on a data set, by a protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.datasets import Dataset
from lhtclip.encoder import DenseEncoder
from lhtclip.engines import run_by
from lhtclip.evaluation.fingerprint import decisive_settings
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.runner import Evaluation, Running, evaluate
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.settings import LhtSettings
from lhtclip.text.embeddings import TextEncoder


def measure(
    checkpoint: Checkpoint,
    dataset: Dataset,
    protocol: Protocol,
    method: str,
    lht: LhtSettings,
    *,
    residual: bool | None = None,
    mlp: bool | None = None,
    texts: TextEncoder | None = None,
    folder: Path | None = None,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[Running], None] | None = None,
) -> Evaluation:
    """Evaluate a method on a data set.

    Args:
        checkpoint: The model.
        dataset: The images.
        protocol: How images are resized and cut, which class names stand for the classes, how
            logits become labels, and which settings the method has on this data set.
        method: Name of the method.
        lht: The techniques.
        residual: Keep the last block's residual connection; None as `DenseEncoder` decides.
        mlp: Keep the last block's MLP; None as `DenseEncoder` decides.
        texts: Embeds the class names; by default with the protocol's templates.
        folder: Keeps the counts, each run in a subfolder named after everything that decides them.
            A run that was stopped resumes there. None keeps nothing.
        overwrite: Start over, whatever the folder holds.
        max_pixels: Refuse larger images.
        progress: Called before the first image and after each.

    Raises:
        UnknownNameError: There is no such method.
        InputError: An image or its ground truth is missing, broken, or they do not fit together.
    """
    segmenter = segmenter_by(
        protocol,
        checkpoint,
        method,
        lht,
        residual=residual,
        mlp=mlp,
        texts=texts,
        max_pixels=max_pixels,
    )
    vocabulary = protocol.vocabulary(dataset)
    if folder is not None:
        settings = json.dumps(decisive_settings(segmenter, dataset, vocabulary))
        folder /= f"{method}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}"
    return evaluate(
        segmenter,
        dataset,
        vocabulary,
        folder=folder,
        overwrite=overwrite,
        trimap=0,
        progress=progress,
    )


def segmenter_by(
    protocol: Protocol,
    checkpoint: Checkpoint,
    method: str,
    lht: LhtSettings,
    *,
    residual: bool | None = None,
    mlp: bool | None = None,
    texts: TextEncoder | None = None,
    engine: str = "torch",
    graph: Path | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Segmenter:
    """Put a method and a protocol's settings around a loaded model; arguments as for `measure`.

    Args:
        protocol: Its windows, decoding, templates, and the method's settings on its data set.
        checkpoint: The model.
        method: Name of the method.
        lht: The techniques.
        residual: As for `measure`.
        mlp: As for `measure`.
        texts: As for `measure`.
        engine: Runs the image tower, as for `Segmenter.from_pretrained`.
        graph: An exported graph for that engine.
        max_pixels: Refuse larger images.

    Raises:
        UnknownNameError: There is no such method.
    """
    encoder = DenseEncoder(
        checkpoint.model,
        method=protocol.method_named(method),
        lht=lht,
        residual=residual,
        mlp=mlp,
    )
    return Segmenter(
        checkpoint,
        encoder,
        texts or TextEncoder.of(checkpoint, templates=protocol.templates),
        windows=protocol.windows,
        decoding=protocol.decoding,
        max_pixels=max_pixels,
        runner=run_by(engine, encoder, pixels=checkpoint.pixels, graph=graph),
    )
