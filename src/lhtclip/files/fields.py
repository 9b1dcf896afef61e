"""The fields of settings made in Python, checked against their type hints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from lhtclip.errors import InputError, is_list, is_number, shown

_NAMES = {
    bool: "True or False",
    int: "a whole number (int)",
    float: "a number (float)",
    str: "text (str)",
}


def check_fields(record: object, *names: str) -> None:
    """Check that the values of a dataclass are of the types of its fields.

    Hints may be of bool, int, float, str, None, Any, Literal, tuple, Sequence, Mapping, Callable,
    other classes, and unions of these. Numbers are finite, and no bools.

    Args:
        record: The dataclass.
        names: The fields to check; none for all.

    Raises:
        InputError: A value is of another type.
    """
    hints = _hints(type(record))
    for name in names or hints:
        value = getattr(record, name)
        if not _fits(value, hints[name]):
            raise InputError(
                f"{name} of {type(record).__name__} must be {_described(hints[name])}, not "
                f"{shown(value)}."
            )


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(cast("Any", kind))}


def _fits(value: object, hint: Any) -> bool:
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin is tuple:
        return isinstance(value, tuple) and _fit(cast("tuple[object, ...]", value), inner)
    if origin is Sequence:
        return is_list(value) and _fit(cast("Sequence[object]", value), (*inner, Ellipsis))
    if origin in (int, float):
        return is_number(value) and (origin is float or isinstance(value, int))
    if origin is Callable:
        return callable(value)
    return origin in (Any, object) or isinstance(value, origin)


def _fit(values: Sequence[object], kinds: tuple[Any, ...]) -> bool:
    if kinds[1:] == (Ellipsis,):
        return all(_fits(value, kinds[0]) for value in values)
    return len(values) == len(kinds) and all(map(_fits, values, kinds))


def _described(hint: Any) -> str:
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(_described, inner))
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in (tuple, Sequence):
        kinds = dict.fromkeys(_described(each) for each in inner if each is not Ellipsis)
        count = "" if origin is Sequence or Ellipsis in inner else f"{len(inner)} times "
        return f"a {origin.__name__.lower()} of {count}{' and '.join(kinds)}"
    if origin is Callable:
        return "a function"
    if origin in (dict, Mapping):
        return "a dict"
    if hint is type(None):
        return "None"
    return _NAMES.get(hint, getattr(origin, "__name__", str(hint)))
