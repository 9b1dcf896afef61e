"""Variants of one segmenter: another method or other techniques on the same weights and texts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from lhtclip.segmenter import Segmenter
from lhtclip.techniques.settings import LhtSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variant:
    """How an image is encoded.

    Attributes:
        method: Name of the method; None for the server's own.
        ssr: Whether SSR acts; None for the server's own setting.
        atr: The same for ATR.
        she: The same for SHE.
    """

    method: str | None = None
    ssr: bool | None = None
    atr: bool | None = None
    she: bool | None = None


class Variants:
    """Segmenters by variant, created on first use; safe to use from several threads."""

    def __init__(self, base: Segmenter, make: Callable[[Segmenter, Variant], Segmenter]) -> None:
        """Store the server's own segmenter, and the function that derives others from it."""
        self.base, self._make = base, make
        self._made: dict[Variant, Segmenter] = {Variant(): base}
        self._lock = threading.Lock()

    def get(self, variant: Variant) -> Segmenter:
        """Return the segmenter of a variant.

        Raises:
            InputError: There is no such method, or it does not suit this model.
        """
        with self._lock:
            if variant not in self._made:
                self._made[variant] = self._make(self.base, variant)
            return self._made[variant]


def remake(base: Segmenter, variant: Variant) -> Segmenter:
    """Return a segmenter of a variant that shares weights and text embeddings with `base`.

    Raises:
        InputError: There is no such method, or it does not suit this model.
    """
    preset, own = base.checkpoint.preset, base.encoder.lht
    lht = LhtSettings(
        ssr=_chosen(variant.ssr, own.ssr, preset.ssr),
        atr=_chosen(variant.atr, own.atr, preset.atr),
        she=_chosen(variant.she, own.she, preset.she),
    )
    return base.replace(lht=lht, **({"method": variant.method} if variant.method else {}))


def _chosen(wanted: bool | None, own: T | None, known: T | None) -> T | None:
    if wanted is None:
        return own
    return (own or known) if wanted else None
