"""An encoded image: it answers any words without running the image tower again."""

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
    """An image after the tower. The words can be changed without encoding it again.

    A pickle holds the image, the plan and the embeddings, not the model. Ask a segmenter with the
    same model and settings about an image from elsewhere: `segmenter.segment(encoded, ["car"])`.

    Attributes:
        image: RGB levels (height, width, 3).
        plan: Where its windows lie.
        embeddings: Of the patches, float32 (window rows, window columns, grid rows, grid columns,
            E), of unit length.
        segmenter: What encoded it and labels it; None after unpickling.
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
            InputError: The words cannot be used, or the image was unpickled.
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
        """Leave the segmenter out of pickles and deep copies."""
        return EncodedImage, (self.image, self.plan, self.embeddings)
