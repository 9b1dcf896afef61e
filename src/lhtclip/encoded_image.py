"""An encoded image: segments for any classes without running the image encoder again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.errors import InputError
from lhtclip.image.windows import WindowPlan
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Classes, Vocabulary


class Labels(Protocol):
    """What labels an encoded image: a `Segmenter`."""

    def segment(
        self,
        image: EncodedImage,
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation:
        """Label every pixel with one of the classes."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """An image after the encoder. Segment it for any classes, again and again.

    A pickle has the image, the plan and the embeddings, but not the model. To use an image from
    elsewhere, call `segmenter.segment(encoded, classes)` of a segmenter with the same model and
    settings.

    Attributes:
        image: RGB levels (height, width, 3).
        plan: Where its windows are.
        embeddings: Patch embeddings, float32 (window rows, window columns, grid rows, grid columns,
            E), of unit length.
        segmenter: The segmenter that encoded it; None after unpickling.
    """

    image: NDArray[np.uint8]
    plan: WindowPlan
    embeddings: Tensor
    segmenter: Labels | None = field(default=None, repr=False)

    def segment(
        self,
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation:
        """Label every pixel with one of the classes; arguments as in `Segmenter.segment`.

        Raises:
            InputError: The classes cannot be used, or the image was unpickled.
        """
        return self._owner().segment(self, classes, background=background, threshold=threshold)

    def _owner(self) -> Labels:
        if self.segmenter is None:
            raise InputError(
                "This encoded image was unpickled and has no model: call "
                "segmenter.segment(encoded, classes) instead."
            )
        return self.segmenter

    def __reduce__(self) -> tuple[Any, ...]:
        """Drop the segmenter from pickles and deep copies."""
        return EncodedImage, (self.image, self.plan, self.embeddings)
