"""JSON from files and users, within limits: size, depth, finite numbers, and each key once."""

from __future__ import annotations

import json
import math
import os
from typing import Any, cast

from lhtclip.files.regular_files import read_regular

MOST_BYTES = 64 << 20
MOST_DEPTH = 64
_MOST_DIGITS = 300  # what a float can hold


def read_json(path: str | os.PathLike[str], *, most: int = MOST_BYTES) -> Any:
    """Read a UTF-8 JSON file.

    Args:
        path: A regular file.
        most: Maximum number of bytes to read.

    Raises:
        OSError: The file is missing, unreadable, too large or not a regular file.
        ValueError: It is not JSON, nested too deeply, or holds a number that is out of range, no
            number, or a key twice.
    """
    return parse_json(read_regular(path, most=most).decode("utf-8-sig"))


def parse_json(text: str) -> Any:
    """Parse JSON, nested at most `MOST_DEPTH` deep.

    Raises:
        ValueError: As `read_json`.
    """
    try:
        content = json.loads(
            text,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise _too_deep() from None
    if _depth_exceeds(content, MOST_DEPTH):
        raise _too_deep()
    return content


def plain_json(content: Any) -> Any:
    """Return content as it would be read back from JSON: tuples become lists, keys text."""
    return json.loads(json.dumps(content))


def json_types(content: Any) -> Any:
    """Replace numbers that are not finite, which JSON does not have, by None; tuples by lists."""
    if isinstance(content, dict):
        return {key: json_types(each) for key, each in cast("dict[str, Any]", content).items()}
    if isinstance(content, list | tuple):
        return [json_types(each) for each in cast("list[Any]", content)]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {MOST_DEPTH} levels deep")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is out of range")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]} is out of range")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} is there twice")
    return content


def _depth_exceeds(content: Any, most: int) -> bool:
    level = [content]
    for _ in range(most):
        level = [inner for outer in level for inner in _containers(outer)]
    return bool(level)


def _containers(value: Any) -> list[Any]:
    if not isinstance(value, dict | list):
        return []
    inner = cast("dict[str, Any] | list[Any]", value)
    children = inner.values() if isinstance(inner, dict) else inner
    return [child for child in children if isinstance(child, dict | list)]
