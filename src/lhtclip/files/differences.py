"""Names what differs between two records of settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from lhtclip.errors import listed

_SHOWN = 4


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name a few of the settings that differ, such as "windows.stride 112, now 56"."""
    changes = [f"{name} {old!r}, now {new!r}" for name, old, new in _changes(before, now)]
    return listed(changes, most=_SHOWN)


def _changes(
    before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, object, object]]:
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changes(
                cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", new), f"{prefix}{name}."
            )
        elif old != new:
            yield f"{prefix}{name}", old, new
