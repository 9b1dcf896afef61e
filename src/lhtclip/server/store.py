"""Uploaded images, kept encoded under random ids; the least recently used are dropped first."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.server.metrics import Metrics
from lhtclip.server.problems import gone


@dataclass(eq=False, slots=True)
class StoredImage:
    """One uploaded image.

    Attributes:
        id: Random, so that clients cannot guess each other's images.
        image: RGB levels (height, width, 3), uint8.
        encoded: The encoded image, by variant of the method.
        used: Time of its last use, in seconds of the monotonic clock.
    """

    id: str
    image: NDArray[np.uint8]
    encoded: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any])
    used: float = 0.0

    @property
    def nbytes(self) -> int:
        """Memory that it occupies, in bytes."""
        return self.image.nbytes + sum(
            scale.embeddings.nbytes for each in self.encoded.values() for scale in each.scales
        )


class ImageStore:
    """Uploaded images, bounded in bytes and in idle time; safe to use from several threads."""

    def __init__(self, *, max_bytes: int, idle_seconds: float, metrics: Metrics) -> None:
        """Begin empty."""
        self._max_bytes, self._idle, self._metrics = max_bytes, idle_seconds, metrics
        self._images: OrderedDict[str, StoredImage] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def idle_seconds(self) -> float:
        """Seconds that an unused image is kept."""
        return self._idle

    def add(self, image: NDArray[np.uint8]) -> StoredImage:
        """Keep an image under a new id."""
        stored = StoredImage(secrets.token_urlsafe(16), image, used=time.monotonic())
        with self._lock:
            self._images[stored.id] = stored
            self._tidy(keep=stored.id)
        return stored

    def get(self, identifier: str) -> StoredImage:
        """Return an image and note that it was used.

        Raises:
            Problem: 404 if no image has this id, or it has expired.
        """
        with self._lock:
            self._tidy()
            stored = self._images.get(identifier)
            self._metrics.cache_lookups.labels("hit" if stored else "miss").inc()
            if stored is None:
                raise gone(identifier)
            stored.used = time.monotonic()
            self._images.move_to_end(identifier)
            return stored

    def grown(self, stored: StoredImage) -> None:
        """Make room after something was added to an image."""
        with self._lock:
            self._tidy(keep=stored.id)

    def remove(self, identifier: str) -> None:
        """Forget an image.

        Raises:
            Problem: 404 if no image has this id.
        """
        with self._lock:
            if self._images.pop(identifier, None) is None:
                raise gone(identifier)
            self._tidy()

    def _tidy(self, *, keep: str = "") -> None:
        """Drop idle images, then the least recently used until the rest fits."""
        now = time.monotonic()
        for identifier, stored in list(self._images.items()):
            if now - stored.used > self._idle:
                del self._images[identifier]
        total = sum(stored.nbytes for stored in self._images.values())
        for identifier in list(self._images):
            if total <= self._max_bytes:
                break
            if identifier != keep:
                total -= self._images.pop(identifier).nbytes
        self._metrics.cache_images.set(len(self._images))
        self._metrics.cache_bytes.set(total)
