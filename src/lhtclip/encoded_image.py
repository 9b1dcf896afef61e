"""An encoded image: segments for any classes without running the image encoder again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.decoding.uncertainty import entropy, margin
from lhtclip.errors import InputError, check_kind, unknown, whole
from lhtclip.image.windows import WindowPlan
from lhtclip.segmentation import Segmentation
from lhtclip.text.parsing import Classes
from lhtclip.text.vocabulary import Vocabulary

_FLOATS = 8_000_000  # probabilities held at once
_OF_PIXELS = {"margin": margin, "entropy": entropy}
_GRID = "probabilities"
MAPS = (*_OF_PIXELS, _GRID)


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

    def probabilities(
        self,
        encoded: EncodedImage,
        vocabulary: Vocabulary,
        size: tuple[int, int],
        *,
        rows: slice,
        columns: slice,
    ) -> Tensor:
        """Return the probabilities of all classes in a part of an image."""
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
        others: The same image at further scales, if the settings have several short sides.
    """

    image: NDArray[np.uint8]
    plan: WindowPlan
    embeddings: Tensor
    segmenter: Labels | None = field(default=None, repr=False)
    others: tuple[EncodedImage, ...] = ()

    @property
    def scales(self) -> tuple[EncodedImage, ...]:
        """This image and the others."""
        return self, *self.others

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

    def probe(
        self,
        x: int,
        y: int,
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        k: int = 5,
    ) -> list[tuple[str, float]]:
        """Return the most probable classes at a pixel, best first; it takes a few patches only.

        Args:
            x: Column of the pixel.
            y: Its row.
            classes: As for `segment`.
            background: As for `segment`.
            k: How many classes at most.

        Raises:
            InputError: The pixel is outside of the image, or as for `segment`.
        """
        height, width = self.image.shape[:2]
        x, y, k = whole("x", x), whole("y", y), whole("k", k, least=1)
        if x >= width or y >= height:
            raise InputError(
                f"The pixel ({x}, {y}) is outside of the image of {width} x {height} pixels."
            )
        vocabulary = Vocabulary.of(classes, background=background)
        found = self._owner().probabilities(
            self,
            vocabulary,
            (height, width),
            rows=slice(y, y + 1),
            columns=slice(x, x + 1),
        )
        values, indices = found.flatten().topk(min(k, len(vocabulary.names)))
        names = [vocabulary.names[index] for index in indices.tolist()]
        return list(zip(names, values.tolist(), strict=True))

    def scores(
        self, classes: Classes | Vocabulary, *, background: str | Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """Return the probability of every class (classes, rows, columns), a value a patch.

        The whole image has as many rows and columns as patches side by side would have.

        Raises:
            InputError: As for `segment`.
        """
        plan, (rows, columns) = self.plan, self.embeddings.shape[2:4]
        size = (
            round(plan.height * rows / plan.window_height),
            round(plan.width * columns / plan.window_width),
        )
        vocabulary = Vocabulary.of(classes, background=background)
        found = self._owner().probabilities(
            self, vocabulary, size, rows=slice(0, size[0]), columns=slice(0, size[1])
        )
        return found.cpu().numpy()

    def probabilities(
        self,
        name: str,
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
    ) -> NDArray[np.float32]:
        """Return the probability of one of the classes at every pixel (height, width).

        Raises:
            UnknownNameError: No class has this name.
            InputError: As for `segment`.
        """
        vocabulary = Vocabulary.of(classes, background=background)
        check_kind("name", name, str)
        if name not in vocabulary.names:
            raise unknown("class", name, vocabulary.names)
        index = vocabulary.names.index(name)
        return torch.cat([band[index] for band in self._bands(vocabulary)]).cpu().numpy()

    def maps(
        self,
        names: Sequence[str],
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Return what says how sure labels are, before thresholds and without PAMR.

        Args:
            names: "margin", of the best class over the second (height, width); "entropy" of all
                classes (height, width); "probabilities", those that `scores` returns.
            classes: As for `segment`.
            background: As for `segment`.

        Returns:
            float32 in [0, 1], by name.

        Raises:
            UnknownNameError: There is no such map.
            InputError: As for `segment`.
        """
        vocabulary = Vocabulary.of(classes, background=background)
        check_kind("names", names, str, Sequence)
        names = [names] if isinstance(names, str) else names
        for name in names:
            if not isinstance(cast("object", name), str) or name not in MAPS:
                raise unknown("map", name, MAPS)
        found: dict[str, list[Tensor]] = {name: [] for name in names if name in _OF_PIXELS}
        for band in self._bands(vocabulary) if found else ():
            for name, parts in found.items():
                parts.append(_OF_PIXELS[name](band))
        maps = {name: torch.cat(parts).cpu().numpy() for name, parts in found.items()}
        return maps | ({_GRID: self.scores(vocabulary)} if _GRID in names else {})

    def _bands(self, vocabulary: Vocabulary) -> Iterator[Tensor]:
        """Go through the probabilities of all pixels: yield (classes, rows, width) from the top."""
        height, width = self.image.shape[:2]
        step = max(1, _FLOATS // (width * len(vocabulary.queries)))
        for top in range(0, height, step):
            yield self._owner().probabilities(
                self,
                vocabulary,
                (height, width),
                rows=slice(top, min(top + step, height)),
                columns=slice(0, width),
            )

    @property
    def nbytes(self) -> int:
        """Bytes of the image and its embeddings."""
        return self.image.nbytes + sum(each.embeddings.nbytes for each in self.scales)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits: equal if the image and its embeddings are."""
        digest = hashlib.sha256(repr((self.image.shape, self.plan)).encode())
        digest.update(np.ascontiguousarray(self.image).data)
        for each in self.scales:
            digest.update(repr(each.plan).encode() if each is not self else b"")
            digest.update(each.embeddings.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def _owner(self) -> Labels:
        if self.segmenter is None:
            raise InputError(
                "This encoded image is a copy or was unpickled, and has no model: call "
                "segmenter.segment(encoded, classes) instead."
            )
        return self.segmenter

    def __reduce__(self) -> tuple[Any, ...]:
        """Drop the segmenter from pickles and deep copies."""
        return EncodedImage, (self.image, self.plan, self.embeddings, None, self.others)
