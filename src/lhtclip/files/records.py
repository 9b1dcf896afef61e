"""Frozen dataclasses to JSON and back, strictly: no unknown keys, no other types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lhtclip.errors import InputError, unknown

T = TypeVar("T")
Readers = Mapping[str, Callable[[Any, str], Any]]  # by field; from JSON value and location


def to_json(record: object) -> dict[str, Any]:
    """Return a dataclass in JSON types: nested ones become objects, tuples lists, paths text."""
    if not is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"{record!r} is not a dataclass.")
    return json.loads(json.dumps(asdict(record), default=_as_text))


def from_json(kind: type[T], content: object, where: str, *, readers: Readers = {}) -> T:  # noqa: B006
    """Build a dataclass from JSON types.

    Args:
        kind: The dataclass. Its fields may be bool, int, float, str, None, Literal, tuples,
            unions, mappings and dataclasses.
        content: The parsed JSON.
        where: Its name in errors, such as "the preset lht.json".
        readers: Functions for fields that need more than their type.

    Raises:
        UnknownNameError: A key that the dataclass does not have.
        InputError: A key is missing, or a value is of another type or out of range.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where} must be a JSON object, not {_show(content)}.")
    given = cast("dict[str, Any]", content)
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(cast("Any", kind)) if field.init}
    for name in given:
        if name not in known:
            raise unknown(f"setting in {where}", name, known)
    for name, field in known.items():
        if name not in given and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{where} lacks {name!r}.")
    values = {
        name: readers[name](value, f"{name!r} of {where}")
        if name in readers
        else _read(hints[name], value, f"{name!r} of {where}")
        for name, value in given.items()
    }
    return kind(**values)


def _read(hint: Any, value: object, where: str) -> Any:
    """Check a value against a type hint, and convert it to that type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _read_union(arguments, value, where)
    if is_dataclass(hint):
        return from_json(cast("type[Any]", hint), value, where)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        return _read_tuple(arguments, cast("list[object]", value), where)
    if origin is Sequence and isinstance(value, list):
        return _read_tuple((*arguments, Ellipsis), cast("list[object]", value), where)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return cast("dict[str, Any]", value)
    if hint is Any or (hint in (bool, str, type(None)) and isinstance(value, hint)):
        return value
    if hint in (int, float) and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is float and isinstance(value, float):
        return value
    raise InputError(f"{where} must be {_describe(hint)}, not {_show(value)}.")


def _read_union(choices: tuple[Any, ...], value: object, where: str) -> Any:
    """Choose the option that a value fits; if none does, a record's own error says more."""
    errors: list[InputError] = []
    for choice in choices:
        try:
            return _read(choice, value, where)
        except InputError as error:
            if is_dataclass(choice) and isinstance(value, dict):
                raise
            errors.append(error)
    allowed = " or ".join(_describe(choice) for choice in choices)
    raise InputError(f"{where} must be {allowed}, not {_show(value)}.")


def _read_tuple(kinds: tuple[Any, ...], values: list[object], where: str) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(values)
    if len(kinds) != len(values):
        raise InputError(f"{where} must have {len(kinds)} entries, not {len(values)}.")
    return tuple(_read(kind, value, where) for kind, value in zip(kinds, values, strict=True))


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(repr(choice) for choice in get_args(hint))
    if get_origin(hint) in (tuple, Sequence):
        return "a list"
    if is_dataclass(hint):
        return "a JSON object"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(hint, "null" if hint is type(None) else str(hint))


def _show(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _as_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} has no place in JSON.")
