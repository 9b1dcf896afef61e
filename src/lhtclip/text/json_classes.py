"""Class lists in JSON or YAML: of `transformers`, COCO, CVAT, our own results, and plain ones.

A list of names or of objects with a name; numbers to names, or names to numbers; any of these under
one of the keys in `INSIDE`. All of YAML is text, numbers too.
"""

from __future__ import annotations

from typing import Any, cast

from lhtclip.errors import InputError, is_whole

Found = list[tuple[int | None, str]]  # names, each with its number if it has one

# Where the names of other programs are.
INSIDE = ("id2label", "categories", "classes", "class_names", "label_names", "labels", "names")
_NUMBERS = ("id", "index", "label")
_NAMES = ("readable", "display_name", "name")  # of Mapillary, of TensorFlow; the first counts


def json_classes(content: object, path: object) -> Found:
    """Return the names in parsed JSON or YAML, each with its number if it has one.

    Args:
        content: The parsed JSON.
        path: What messages call the file.

    Raises:
        InputError: It does not hold names.
    """
    given = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    inside = next((given[key] for key in INSIDE if isinstance(given.get(key), dict | list)), None)
    if inside is not None:
        return json_classes(inside, path)
    if given and all(key.isdigit() for key in given):
        found: list[tuple[int | None, Any]] = [(int(key), name) for key, name in given.items()]
    elif given and all(_number(number) is not None for number in given.values()):
        found = sorted(((_number(number) or 0), name) for name, number in given.items())
    elif isinstance(content, list):
        found = [_entry(each) for each in cast("list[Any]", content)]
    else:
        found = []
    if not found or not all(isinstance(name, str) for _, name in found):
        raise InputError(
            f"{path} is JSON or YAML, but not a list of names. Give a list of names, or "
            "one class per line."
        )
    return found


def _entry(value: Any) -> tuple[int | None, Any]:
    """Return the number and the name of an entry; no name if it has none."""
    if not isinstance(value, dict):
        return None, value
    entry = cast("dict[str, Any]", value)
    numbers = (_number(entry.get(key)) for key in _NUMBERS)
    names = (entry[key] for key in _NAMES if entry.get(key))
    return next((each for each in numbers if each is not None), None), next(names, None)


def _number(value: Any) -> int | None:
    """Return a number that JSON has as such, and YAML as text."""
    if is_whole(value, least=0):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else None
