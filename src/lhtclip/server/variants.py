"""Variants of the segmenters: another method or other techniques on the same weights and texts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lhtclip.errors import InputError, unknown
from lhtclip.segmenter import Segmenter
from lhtclip.server.gains import window_changes
from lhtclip.server.schemas import Gains, Techniques
from lhtclip.techniques import TECHNIQUES


@dataclass(frozen=True, slots=True)
class Variant:
    """How an image is encoded.

    Attributes:
        method: Name of the method; None for the server's own.
        switches: Techniques that are on or off; the others are as the server was started. ATR may
            have a name of `ATR_JUDGES` instead.
        windows: Fields of `WindowSettings` that differ from the server's own.
        model: Name of the model; None for the server's first.
    """

    method: str | None = None
    switches: frozenset[tuple[str, bool | str]] = frozenset()
    windows: frozenset[tuple[str, Any]] = frozenset()
    model: str | None = None


class Variants:
    """Segmenters by variant, created on first use; safe to use from several threads.

    Attributes:
        base: The server's first segmenter, which answers unless a request names another model.
        models: All loaded segmenters, by the names of their models.
    """

    def __init__(
        self,
        base: Segmenter,
        make: Callable[[Segmenter, Variant], Segmenter],
        also: Sequence[Segmenter] = (),
    ) -> None:
        """Store the server's own segmenters, and the function that derives others from them.

        Raises:
            InputError: Two models have the same name.
        """
        self.base, self._make = base, make
        self.models: dict[str, Segmenter] = {}
        for each in (base, *also):
            if self.models.setdefault(each.checkpoint.name, each) is not each:
                raise InputError(
                    f"Two models have the name {each.checkpoint.name!r}. Load each only once."
                )
        self._made: dict[Variant, Segmenter] = {Variant(): base}
        self._lock = threading.Lock()

    def asked(
        self,
        method: str | None,
        lht: bool | Techniques | None,
        gains: Gains | None = None,
        model: str | None = None,
    ) -> Variant:
        """Return the variant of a request, without what is as the server was started.

        Raises:
            UnknownNameError: The server has no such model.
        """
        base = self.base if model is None else self.models.get(model)
        if base is None:
            raise unknown("model", str(model), self.models)
        windows, switches = base.windows, _switches(lht)
        return Variant(
            method if method != base.encoder.method.name else None,
            frozenset((name, on) for name, on in switches.items() if _changes(base, name, on)),
            frozenset(
                (name, value)
                for name, value in window_changes(gains).items()
                if value != getattr(windows, name)
            ),
            None if base is self.base else model,
        )

    def get(self, variant: Variant) -> Segmenter:
        """Return the segmenter of a variant.

        Raises:
            InputError: There is no such method, or it does not suit this model.
        """
        with self._lock:
            if variant not in self._made:
                base = self.models[variant.model] if variant.model else self.base
                self._made[variant] = self._make(base, variant)
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
    changes: dict[str, Any] = {}
    if switched:
        changes["lht"] = replace(own, **switched)
    if variant.method:
        changes["method"] = variant.method
    if variant.windows:
        changes["windows"] = replace(base.windows, **dict(variant.windows))
    return base.replace(**changes)


def _changes(base: Segmenter, name: str, on: bool | str) -> bool:
    """Whether a technique switched on or off, or ATR with a name, is not as the server has it."""
    own = getattr(base.encoder.lht, name)
    if on is True:
        return own is None and getattr(base.checkpoint.preset, name) is not None
    return isinstance(on, str) or own is not None


def _switches(lht: bool | Techniques | None) -> dict[str, bool | str]:
    """Return the techniques that a request names."""
    if isinstance(lht, Techniques):
        return lht.model_dump(exclude_none=True)
    return {} if lht is None else dict.fromkeys(TECHNIQUES, lht)
