"""Settings of the techniques scored on labelled pictures: what a search asks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.datasets import Dataset
from lhtclip.datasets.samples import own_vocabulary
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.protocols import protocol_for
from lhtclip.evaluation.runner import Running, evaluate
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.settings import LhtSettings
from lhtclip.text.embeddings import TextEncoder


class Scorer:
    """Scores settings by their mIoU in percent, without the last block's residual and MLP."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        dataset: Dataset,
        *,
        method: str = "sclip",
        folder: Path | None = None,
        overwrite: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Get ready.

        Args:
            checkpoint: A frozen CLIP.
            dataset: The pictures; resized, cut and worded by the protocol of LHT-CLIP, that of
                ResCLIP for its method.
            method: Name of the method.
            folder: Keeps the counts of each candidate, so that a search that was stopped goes on
                where it was; None keeps nothing.
            overwrite: Start over, whatever the folder holds.
            max_pixels: Larger images are refused.

        Raises:
            UnknownNameError: There is no such method.
        """
        protocol = protocol_for(dataset.name, "resclip" if method == "resclip" else "lht")
        self._checkpoint, self._dataset = checkpoint, dataset
        self._rule = protocol.rule(method)
        self._windows, self._decoding = protocol.windows, protocol.decoding
        self._vocabulary = protocol.vocabulary() if protocol.class_list else own_vocabulary(dataset)
        self._texts = TextEncoder.of(checkpoint, templates=protocol.templates)
        self._folder, self._overwrite, self._max_pixels = folder, overwrite, max_pixels
        self._common = [
            checkpoint.model.vision.fingerprint(),
            dataset.name,
            [(sample.key, sample.candidates) for sample in dataset.samples],
            asdict(self._vocabulary),
            self._rule.name,
        ]

    def __call__(
        self, settings: LhtSettings, *, progress: Callable[[Running], None] | None = None
    ) -> float:
        """Return the mIoU in percent.

        Raises:
            InputError: A picture or truth is missing or broken, or they do not fit together.
        """
        encoder = DenseEncoder(
            self._checkpoint.model, method=self._rule, lht=settings, residual=False, mlp=False
        )
        segmenter = Segmenter(
            self._checkpoint,
            encoder,
            self._texts,
            windows=self._windows,
            decoding=self._decoding,
            max_pixels=self._max_pixels,
        )
        evaluation = evaluate(
            segmenter,
            self._dataset,
            self._vocabulary,
            folder=self._folder and self._folder / self._place(settings),
            overwrite=self._overwrite,
            trimap=0,
            progress=progress,
        )
        return 100 * evaluation.confusion.mean_iou

    def _place(self, settings: LhtSettings) -> str:
        content = json.dumps([*self._common, asdict(settings)])
        return hashlib.sha256(content.encode()).hexdigest()[:16]
