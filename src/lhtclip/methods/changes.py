"""A method with other settings, named as on a command line or in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from lhtclip.errors import InputError, unknown
from lhtclip.files.json_files import parse_json
from lhtclip.files.records import from_json
from lhtclip.methods.method import Method


def with_settings(method: Method, changes: Mapping[str, object]) -> Method:
    """Return a method with some settings changed.

    Args:
        method: The method. What it keeps of the last block stays as it is.
        changes: Values in JSON types by name, such as {"alpha": 0.3}; a dot leads into a record
            among the settings: {"sfr.path": "released"}.

    Raises:
        UnknownNameError: The method has no such setting.
        InputError: A value is of another type, or out of range.
    """
    if not changes:
        return method
    settings = method.recorded_settings()
    if not settings:
        raise InputError(
            f"The method {method.name!r} has no settings; leave out {_names(changes)}."
        )
    for name, value in changes.items():
        *path, last = name.split(".")
        record: Any = settings
        for part in path:
            record = record.get(part) if isinstance(record, dict) else None
        if not isinstance(record, dict) or last not in record:
            raise unknown(f"setting of the method {method.name!r}", name, _paths(settings))
        record[last] = value
    where = f"the settings of {method.name!r}"
    return replace(method, settings=from_json(type(method.settings), settings, where))


def parse_settings(texts: Sequence[str]) -> dict[str, object]:
    """Read settings as typed: NAME=VALUE, where a value that is not JSON is text.

    Raises:
        InputError: One has no name, or two have the same.
    """
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"A setting is a name and a value, such as alpha=0.3, not {text!r}.")
        if name in found:
            raise InputError(f"The setting {name!r} is given twice: leave one out.")
        try:
            found[name] = parse_json(value)
        except ValueError:
            found[name] = value
    return found


def _paths(settings: Mapping[str, Any], before: str = "") -> list[str]:
    """Return the names of all settings, those in records with a dot."""
    found: list[str] = []
    for name, value in settings.items():
        if isinstance(value, dict):
            found += _paths(cast("dict[str, Any]", value), f"{before}{name}.")
        else:
            found.append(before + name)
    return found


def _names(changes: Mapping[str, object]) -> str:
    return ", ".join(map(repr, changes))
