"""An image after the tower: it answers any words without running the tower again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from lhtclip.decoding.decode import DecodeSettings, decode
from lhtclip.image.pixels import to_pixels
from lhtclip.image.windows import WindowPlan
from lhtclip.segmentation import Segmentation, label_dtype
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.vocabulary import Classes, Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """An image after the tower; words can be changed without running it again.

    image: RGB levels (height, width, 3).
    plan: Where its windows lie.
    texts: Makes embeddings of words.
    decoding: How logits become labels.
    embed: Gives the patches' embeddings for those of words (queries, E). Only for a method with
        feedback, "resclip-sfr", do words matter, and None will not do; there the tower runs now.
    """

    image: NDArray[np.uint8]
    plan: WindowPlan
    texts: TextEncoder
    decoding: DecodeSettings
    embed: Callable[[Tensor | None], Tensor]

    @property
    def embeddings(self) -> Tensor:
        """Float32 (window rows, window columns, grid rows, grid columns, E), of unit length.

        Raises:
            InputError: The method gives none without words.
        """
        return self.embed(None)

    def segment(
        self,
        classes: Classes,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation:
        """Label every pixel with one of the classes; arguments as in `Segmenter.segment`."""
        threshold = self.decoding.threshold if threshold is None else threshold
        vocabulary = Vocabulary.of(classes, background=background, threshold=threshold)
        return self.label(vocabulary, threshold=threshold)

    @torch.inference_mode()
    def label(self, vocabulary: Vocabulary, *, threshold: float | None = None) -> Segmentation:
        """Label every pixel with a class of a vocabulary that is already checked."""
        decoding = self.decoding
        if threshold is not None:
            decoding = replace(decoding, threshold=threshold)
        texts = self.texts.encode(vocabulary.queries)
        seen = (self.plan.height, self.plan.width)
        colours = (
            to_pixels(self.image, seen, mean=CLIP_MEAN, std=CLIP_STD, device=texts.device)
            if decoding.pamr
            else None
        )
        labels, scores = decode(
            self.embed(texts) @ texts.T,
            self.plan,
            self.image.shape[:2],
            vocabulary.class_of_query,
            len(vocabulary.names),
            decoding,
            image=colours,
        )
        return Segmentation(
            labels=labels.astype(label_dtype(len(vocabulary.names))),
            scores=scores,
            names=vocabulary.names,
            image=self.image,
            background=vocabulary.background,
        )
