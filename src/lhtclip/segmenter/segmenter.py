"""Class names in, mask out: the way from image to mask, read top to bottom.

image → resize → windows → patch embeddings → × text embeddings → decode → `Segmentation`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard, TypeVar, cast, overload

import numpy as np
import torch
from torch import Tensor

from lhtclip.checkpoints.device import dtype_name
from lhtclip.config import SegmenterConfig
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError, shown
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.image.pixels import ImageSource
from lhtclip.image.settings import PLAIN, ReadingSettings
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import Method
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter.encoding import encode_items
from lhtclip.segmenter.labelling import label, probabilities
from lhtclip.segmenter.parts import SegmenterParts
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.settings import Lht
from lhtclip.text.parsing import Classes
from lhtclip.text.vocabulary import Vocabulary

Key = TypeVar("Key")


class Segmenter(SegmenterParts):
    """A frozen CLIP that gives every pixel one of your classes."""

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "ViT-B-16",
        *,
        method: str | Method = "sclip",
        lht: Lht = True,
        preset: Preset | str | Path | None = None,
        templates: str | Sequence[str] = "imagenet80",
        windows: WindowSettings | None = None,
        decoding: DecodeSettings | None = None,
        engine: str = "torch",
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        max_pixels: int = MAX_PIXELS,
        text_cache: bool | str | Path = True,
        reading: ReadingSettings = PLAIN,
    ) -> Segmenter:
        """Load a model by name; `SegmenterConfig` and `from_config` have all settings.

        Args:
            model: A short name ("ViT-B-16"), a hub id, a local folder, or "bundled".
            method: A name in `METHODS`, or a `Method` of your own, such as
                `replace(METHODS["sclip"], residual=False)`.
            lht: True for the paper's three techniques, False for none, `LhtSettings` for exactly
                these, or changes by name, such as {"atr": False}.
            preset: Settings of the techniques for this model, or a file with them; by default the
                known ones.
            templates: Name of a template set, or sentences with "{}" in them.
            windows: How images are resized and cut.
            decoding: How logits become labels.
            engine: What runs the image tower: "torch", "compile" or "onnx", which works in
                float32 on the CPU and keeps an exported graph in the cache.
            device: "auto", "cpu", "cuda", "cuda:N", "mps" or a device of torch.
            dtype: "auto", "float32", "bfloat16", "float16" or the same of torch.
            max_pixels: Larger images are refused.
            text_cache: Keep text embeddings on disk; a path says where.
            reading: How values of images become levels: a range, bands, what to do with alpha.

        Raises:
            LhtClipError: Something cannot be used; the message says what to do.
        """
        config = SegmenterConfig(
            model=str(model) if isinstance(model, Path) else model,
            method=method,
            lht=lht,
            preset=Preset.load(Path(preset)) if isinstance(preset, str | Path) else preset,
            templates=cast("str | tuple[str, ...]", templates),  # a list becomes a tuple
            windows=WindowSettings() if windows is None else windows,
            decoding=DecodeSettings() if decoding is None else decoding,
            engine=engine,
            device=str(device) if isinstance(device, torch.device) else device,
            dtype=dtype_name(dtype) if isinstance(dtype, torch.dtype) else dtype,
            max_pixels=max_pixels,
            text_cache=str(text_cache) if isinstance(text_cache, Path) else text_cache,
            reading=reading,
        )
        return cls.from_config(config)

    @overload
    def segment(
        self,
        image: ImageSource | EncodedImage,
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation: ...

    @overload
    def segment(
        self,
        image: Iterable[ImageSource],
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> list[Segmentation]: ...

    def segment(
        self,
        image: ImageSource | EncodedImage | Iterable[ImageSource],
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation | list[Segmentation]:
        """Label every pixel with one of the classes.

        Args:
            image: A path, an open file, a PIL image, an RGB array (height, width, 3) uint8, a
                tensor (3, height, width), or an `EncodedImage`; or any iterable of images.
            classes: A list of class names, where an inner list has the prompts of one class, the
                first being its name; or a dict from name to prompts; or one string "car, road,
                person|rider"; or a `Vocabulary`.
            background: Prompts for what is none of the classes; they become class 0, "background".
                "auto" chooses them.
            threshold: Pixels whose class has a lower probability, in [0, 1], become background;
                None for the threshold of `decoding`.

        Returns:
            A `Segmentation` for one image, a list of them for several.

        Raises:
            InputError: An image or the classes cannot be used.
        """
        threshold = self.decoding.threshold if threshold is None else threshold
        if isinstance(threshold, np.number):
            threshold = float(threshold)
        vocabulary = Vocabulary.of(classes, background=background, threshold=threshold)
        if isinstance(image, EncodedImage):
            return label(self, image, vocabulary, threshold)
        if _is_one(image):
            return label(self, self.encode(image), vocabulary, threshold)
        encoded = self.encode_many(cast("Iterable[ImageSource]", image))
        return [label(self, each, vocabulary, threshold) for each in encoded]

    def encode(self, image: ImageSource) -> EncodedImage:
        """Run the image encoder once; segment the result for any classes, again and again.

        The method "resclip-sfr" runs the encoder once more each time, because its second pass
        depends on the classes.
        """
        return next(self.encode_many([image]))

    def encode_many(self, images: Iterable[ImageSource]) -> Iterator[EncodedImage]:
        """Encode images in order; windows of one shape go through the encoder together.

        Consecutive images share a batch if both are at least one window large.

        Raises:
            InputError: An image cannot be read; `encode_items` can skip it. Or only one was given.
        """
        if _is_one(images):
            raise InputError(f"encode_many takes several images; use encode for {shown(images)}.")
        return (encoded for _, encoded in self.encode_items(enumerate(images)))

    def encode_items(
        self,
        items: Iterable[tuple[Key, ImageSource]],
        *,
        on_error: Callable[[Key, InputError], None] | None = None,
    ) -> Iterator[tuple[Key, EncodedImage]]:
        """Encode images with keys, like `encode_many`, and skip those that cannot be read.

        Args:
            items: A key of any kind, such as a path, and the image.
            on_error: Called with the key of an image that cannot be read, which is then skipped;
                without it, the error is raised.

        Raises:
            InputError: An image cannot be read, and there is no `on_error`.
        """
        scales: list[EncodedImage] = []
        for key, planned, embeddings in encode_items(self, items, on_error):
            scales.append(EncodedImage(planned.image, planned.plan, embeddings, self))
            if len(scales) == len(self.windows.short_sides):
                yield key, replace(scales[0], others=tuple(scales[1:]))
                scales.clear()

    def probabilities(
        self,
        encoded: EncodedImage,
        vocabulary: Vocabulary,
        size: tuple[int, int],
        *,
        rows: slice,
        columns: slice,
    ) -> Tensor:
        """Return the probabilities of all classes in a part of an image, without thresholds.

        `EncodedImage.probe`, `scores` and `probabilities` ask for what is mostly wanted.

        Args:
            encoded: The image.
            vocabulary: The classes.
            size: Height and width of the whole result in pixels.
            rows: The rows of the result that are wanted.
            columns: Its columns.

        Returns:
            (classes, rows, columns) float32 in [0, 1].

        Raises:
            InputError: The image was encoded by a model with embeddings of another length.
        """
        return probabilities(self, encoded, vocabulary, size, rows=rows, columns=columns)


def _is_one(image: ImageSource | Iterable[ImageSource]) -> TypeGuard[ImageSource]:
    """Whether this is a single image: paths, arrays and open files are iterable as well."""
    single = isinstance(image, str | bytes | os.PathLike | np.ndarray | Tensor)
    return single or hasattr(image, "read") or not isinstance(image, Iterable)
