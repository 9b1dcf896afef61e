"""Class lists in JSON: of `transformers`, COCO, CVAT, our own results, and plain ones.

A list of names or of objects with a name; numbers to names, or names to numbers; any of these under
"id2label", "categories", "classes", "labels" or "names".
"""

from __future__ import annotations

from typing import Any, cast

from lhtclip.errors import InputError, is_whole

Found = list[tuple[int | None, str]]  # names, each with its number if it has one

_INSIDE = ("id2label", "categories", "classes", "labels", "names")
_NUMBERS = ("id", "index", "label")


def json_classes(content: object, path: object) -> Found:
    """Return the names in parsed JSON, each with its number if it has one.

    Args:
        content: The parsed JSON.
        path: What messages call the file.

    Raises:
        InputError: It is of other things than names.
    """
    given = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    inside = next((given[key] for key in _INSIDE if isinstance(given.get(key), dict | list)), None)
    if inside is not None:
        return json_classes(inside, path)
    if given and all(key.isdigit() for key in given):
        found: list[tuple[int | None, Any]] = [(int(key), name) for key, name in given.items()]
    elif given and all(is_whole(number, least=0) for number in given.values()):
        found = sorted((number, name) for name, number in given.items())
    elif isinstance(content, list):
        found = [_entry(each) for each in cast("list[Any]", content)]
    else:
        found = []
    if not found or not all(isinstance(name, str) for _, name in found):
        raise InputError(
            f"The classes file {path} is JSON of other things than names. Give a list of names, or "
            "one class per line."
        )
    return found


def _entry(value: Any) -> tuple[int | None, Any]:
    """Return the number and the name of an entry; no name if it has none."""
    if not isinstance(value, dict):
        return None, value
    entry = cast("dict[str, Any]", value)
    number = next((entry[key] for key in _NUMBERS if is_whole(entry.get(key), least=0)), None)
    return number, entry.get("name")
