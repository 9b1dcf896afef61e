"""The service without HTTP: upload an image, label it, forget it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.server.gains import decoding_with
from lhtclip.server.metrics import Metrics
from lhtclip.server.problems import Problem
from lhtclip.server.scheduler import Scheduler
from lhtclip.server.schemas import Classes, ViewRequest
from lhtclip.server.settings import ServerSettings
from lhtclip.server.store import ImageStore, StoredImage
from lhtclip.server.variants import Variant, Variants
from lhtclip.text.aliases import with_aliases
from lhtclip.text.vocabulary import Vocabulary

T = TypeVar("T")
_READERS = 2  # threads that decode uploads and encode answers while the model runs


class Service:
    """One model, its queue and its images."""

    def __init__(
        self,
        segmenter: Segmenter,
        make: Callable[[Segmenter, Variant], Segmenter],
        settings: ServerSettings,
        also: Sequence[Segmenter] = (),
    ) -> None:
        """Start the model's thread.

        Args:
            segmenter: The server's own.
            make: Builds a segmenter with another method or other techniques on the same weights.
            settings: Limits.
            also: Segmenters of further models, for requests that name one.
        """
        self.settings, self.metrics = settings, Metrics()
        self.variants = Variants(segmenter, make, also)
        self.store = ImageStore(
            max_bytes=settings.cache_bytes,
            idle_seconds=settings.idle_seconds,
            metrics=self.metrics,
        )
        self._scheduler = Scheduler(
            limit=settings.queue,
            batch=settings.batch_images,
            delay=settings.batch_delay,
            timeout=settings.timeout,
            metrics=self.metrics,
        )
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="lhtclip-reader")
        self.fingerprint = segmenter.fingerprint
        self.fingerprints = {name: each.fingerprint for name, each in self.variants.models.items()}
        self.ready = True

    async def aside(self, work: Callable[[], T]) -> T:
        """Run work that needs no model in another thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def read(self, data: bytes) -> NDArray[np.uint8]:
        """Decode an upload to RGB levels (height, width, 3).

        Raises:
            InputError: It cannot be read as an image, or is too large.
            Problem: The queue is full; a refusal costs no decoding.
        """
        if not data:
            raise InputError("The upload is empty. Send the bytes of an image file.")
        self._scheduler.check_room()
        with self.metrics.stages.labels("decode_image").time():
            return await self.aside(lambda: read_image(data, max_pixels=self.settings.max_pixels))

    async def upload(self, data: bytes, variant: Variant) -> StoredImage:
        """Decode and encode an image, and keep it."""
        segmenter = self.variants.get(variant)
        image = await self.read(data)
        encoded = await self._encode(image, variant, segmenter)
        stored = self.store.add(image)
        stored.encoded[variant] = encoded
        self.store.grown(stored)
        return stored

    async def encoded(self, stored: StoredImage, variant: Variant) -> EncodedImage:
        """Return a kept image as a variant sees it; the model runs only the first time."""
        if variant not in stored.encoded:
            segmenter = self.variants.get(variant)
            stored.encoded[variant] = await self._encode(stored.image, variant, segmenter)
            self.store.grown(stored)
        return stored.encoded[variant]

    async def once(self, data: bytes, request: Classes) -> tuple[Segmentation, dict[str, float]]:
        """Label an image that is not kept."""
        vocabulary, variant = self.vocabulary(request), self.variant(request)
        segmenter = self.variants.get(variant)
        image = await self.read(data)
        started = time.perf_counter()
        encoded = await self._encode(image, variant, segmenter)
        encoding = time.perf_counter() - started
        result, seconds = await self.label(encoded, vocabulary, request, begun=True)
        return result, {"encode": encoding, **seconds}

    def variant(self, request: Classes | ViewRequest) -> Variant:
        """Return the variant that a request asks for."""
        return self.variants.asked(request.method, request.lht, request.gains, request.model)

    async def label(
        self,
        encoded: EncodedImage,
        vocabulary: Vocabulary,
        request: Classes,
        *,
        begun: bool = False,
    ) -> tuple[Segmentation, dict[str, float]]:
        """Label every pixel of an encoded image; also return the seconds this took."""
        started = time.perf_counter()
        decoded = as_asked(encoded, request)
        with self.metrics.stages.labels("label").time():
            result = await self._scheduler.call(
                lambda: decoded.segment(vocabulary, threshold=request.threshold), begun=begun
            )
        return result, {"label": time.perf_counter() - started}

    async def ask(self, work: Callable[[], T]) -> T:
        """Run short work on the model's thread."""
        return await self._scheduler.call(work)

    def vocabulary(self, request: Classes) -> Vocabulary:
        """Check the classes of a request before it waits for the model.

        Raises:
            InputError: They cannot be used.
            Problem: There are too many of them.
        """
        threshold = request.threshold
        if threshold is None:
            threshold = self.variants.base.decoding.threshold
        length = len(str(request.classes)) + len(str(request.background or ""))
        if length > self.settings.max_characters:
            raise Problem(
                422,
                "too-many-words",
                f"All prompts together may have {self.settings.max_characters} characters, "
                f"got {length}.",
            )
        vocabulary = Vocabulary.of(
            request.classes, background=request.background, threshold=threshold
        )
        if len(vocabulary.names) > self.settings.max_classes:
            raise Problem(
                422,
                "too-many-words",
                f"One request may name {self.settings.max_classes} classes, "
                f"got {len(vocabulary.names)}.",
            )
        aliases = (request.gains and request.gains.aliases) or self.settings.aliases
        return with_aliases(vocabulary, aliases) if aliases not in (None, "none") else vocabulary

    def drain(self) -> None:
        """Stop accepting work: waiting requests get 503, the running batch is finished."""
        self.ready = False
        self._scheduler.close()

    def close(self) -> None:
        """Drain, and wait for the model's thread."""
        self.drain()
        self._scheduler.join(self.settings.timeout)
        self._readers.shutdown(cancel_futures=True)

    async def _encode(
        self, image: NDArray[np.uint8], variant: Variant, segmenter: Segmenter
    ) -> EncodedImage:
        def together(images: Sequence[NDArray[np.uint8]]) -> Sequence[Any]:
            self.metrics.batch_images.observe(len(images))
            with self.metrics.stages.labels("encode").time():
                return _each(segmenter, images)

        encoded = await self._scheduler.batch(variant, image, together)
        self.metrics.pixels.inc(image.shape[0] * image.shape[1])
        return encoded


def as_asked(encoded: EncodedImage, request: Classes) -> EncodedImage:
    """Return an encoded image whose logits become labels as a request asks for."""
    segmenter = encoded.segmenter
    if request.gains is None or not isinstance(segmenter, Segmenter):
        return encoded
    decoding = decoding_with(segmenter.decoding, request.gains)
    return replace(encoded, segmenter=segmenter.replace(decoding=decoding))


def _each(segmenter: Segmenter, images: Sequence[NDArray[np.uint8]]) -> Sequence[Any]:
    """Encode images together, or one by one if that fails, so that one cannot affect another."""
    try:
        return list(segmenter.encode_many(images))
    except Exception:
        if len(images) == 1:
            raise
    results: list[Any] = []
    for image in images:
        try:
            results.append(segmenter.encode(image))
        except Exception as error:
            results.append(error)
    return results
