"""Variants of one segmenter: another method or other techniques on the same weights and texts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from lhtclip.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class Variant:
    """How an image is encoded.

    Attributes:
        method: Name of the method; None for the server's own.
        switches: Techniques that are on or off; the others are as the server was started. ATR may
            have a name of `ATR_JUDGES` instead.
    """

    method: str | None = None
    switches: frozenset[tuple[str, bool | str]] = frozenset()


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
        InputError: There is no such method, or it does not suit this model, or ATR should judge by
            abnormal channels that are not known.
    """
    preset, own = base.checkpoint.preset, base.encoder.lht
    switched = {
        name: (getattr(own, name) or getattr(preset, name)) if on else None
        for name, on in variant.switches
    }
    for name, judge in variant.switches:
        if isinstance(judge, str):
            switched[name] = preset.atr_by(judge)
    lht = replace(own, **switched)
    return base.replace(lht=lht, **({"method": variant.method} if variant.method else {}))
