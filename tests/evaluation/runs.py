"""Drawn data sets, and quick segmenters: one reads labels off the pictures, one is tiny."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.clip.config import PixelConfig
from lhtclip.clip.model import Clip
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.datasets.dataset import Dataset, Sample, Truth
from lhtclip.encoder import DenseEncoder
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.image.windows import WindowSettings
from lhtclip.segmentation import Segmentation, label_dtype
from lhtclip.segmenter import Segmenter
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.vocabulary import Vocabulary
from tests.models import tiny_clip

NAMES = ("cat", "grass", "sky", "road", "car")
IGNORED = 255


def drawn_dataset(
    folder: Path,
    *,
    images: int = 20,
    names: Sequence[str] = NAMES,
    candidates: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Write noise of two sizes; the red level of a pixel is what `Painted` takes for its label.

    A third of the red levels are right, a tenth of the truth is ignored.
    """
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    samples: list[Sample] = []
    for number in range(images):
        size = (12, 20) if number % 3 else (14, 9)
        choice = range(len(names))
        if candidates is not None:
            choice = generator.permutation(len(names))[:candidates]
        places = generator.integers(0, len(choice), size)
        red = np.where(
            generator.random(size) < 1 / 3, places, generator.integers(0, len(choice), size)
        )
        truth = np.array(choice)[places].astype(np.uint8)
        truth[generator.random(size) < 0.1] = IGNORED
        levels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        levels[..., 0] = red
        path = folder / f"picture-{number:02d}.png"
        Image.fromarray(levels).save(path)
        own = None if candidates is None else tuple(int(index) for index in choice)
        samples.append(Sample(path.stem, path, _given(truth), own))
    return Dataset("drawn", tuple(names), tuple(samples))


def _given(truth: Truth) -> Callable[[], Truth]:
    return lambda: truth.copy()


@dataclass
class Painted:
    """Finds in every picture the class that its red level says; keeps the sizes of its batches."""

    max_pixels: int = MAX_PIXELS
    batches: list[int] = field(default_factory=list[int])

    def encode_many(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Any]:
        given = list(images)
        self.batches.append(len(given))
        return (_Encoded(image) for image in given)


@dataclass
class _Encoded:
    image: NDArray[np.uint8]

    def segment(self, vocabulary: Vocabulary) -> Segmentation:
        labels = self.image[..., 0].astype(label_dtype(len(vocabulary.names)))
        return Segmentation(labels, np.ones(labels.shape, np.float32), vocabulary.names)


def painted() -> Segmenter:
    return cast(Segmenter, Painted())


def words(dataset: Dataset) -> Vocabulary:
    return Vocabulary.of(list(dataset.names))


def tiny_segmenter(model: Clip | None = None, **settings: Any) -> Segmenter:
    """A whole segmenter with random weights; settings are those of `DenseEncoder`."""
    model = model or tiny_clip()
    texts = TextEncoder(
        model.text, _ids, fingerprint="tiny", width=24, templates="plain", cache=None
    )
    checkpoint = Checkpoint(model, cast(Tokenizer, None), PixelConfig(), Path("tiny"), "tiny")
    return Segmenter(
        checkpoint,
        DenseEncoder(model, **settings),
        texts,
        windows=WindowSettings(short_side=32, window=32, stride=16),
    )


def _ids(prompts: list[str]) -> Tensor:
    rows = [[*(1 + ord(letter) % 60 for letter in prompt[:10]), 63] for prompt in prompts]
    longest = max(map(len, rows))
    return torch.tensor([row + [63] * (longest - len(row)) for row in rows])
