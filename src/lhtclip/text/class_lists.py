"""Class lists as other programs write them, brought to one class per line.

Known are lines that are numbered, quoted or bulleted, LabelMe's labels.txt, CVAT's labelmap.txt,
ADE20K's objectInfo150.txt, the names in a YAML file such as YOLO's data.yaml, and JSON: a list of
names, or a mapping from numbers to names. What was changed is logged as a warning.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from lhtclip.errors import InputError
from lhtclip.files.json_files import parse_json

_NUMBERED = re.compile(r"^\s*(\d+)\s*(?:[:\t;=.)]\s*|\s{2,}|,\s*)(\S.*)$")
_CVAT = re.compile(r"^([^:]+):([\d,]*|#[0-9a-fA-F]+):[^:]*:[^:]*$")
_YAML_NAMES = re.compile(r"^names\s*:\s*(.*)$")
_BULLET = re.compile(r"^\s*-\s+(.*)$")
_QUOTED = re.compile(r"""^\s*(["'])(.+)\1\s*,?\s*$""")
_NOT_CLASSES = ("__ignore__", "_background_")  # of LabelMe
_logger = logging.getLogger("lhtclip")


def plain_lines(text: str, path: object) -> list[tuple[int, str]]:
    """Return the lines of a class list that hold a class, each with its number in the file.

    Args:
        text: The content of the file.
        path: What messages call it.

    Raises:
        InputError: It is numbered in a way that does not fit labels.
    """
    names = _from_json(text, path) if text.lstrip()[:1] in ("[", "{") else None
    if names is not None:
        return _numbered_anew(names)
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    contents = [line for _, line in lines]
    for what, read in _READERS:
        found = read(contents)
        if found is not None:
            names = _without_markers(_in_order(found, path), path)
            _logger.warning("%s is read as %s; the first class is %r.", path, what, names[:1])
            return _numbered_anew(names)
    kept = _without_markers(contents, path)
    return lines if len(kept) == len(lines) else _numbered_anew(kept)


def _numbered_anew(names: Sequence[str]) -> list[tuple[int, str]]:
    return list(enumerate(names, start=1))


def _in_order(found: Sequence[tuple[int | None, str]], path: object) -> list[str]:
    """Check that the numbers before names, if any, count up from 0 or 1."""
    numbers = [number for number, _ in found if number is not None]
    if numbers and numbers not in (
        list(range(len(numbers))),
        list(range(1, len(numbers) + 1)),
    ):
        raise InputError(
            f"{path} numbers its classes {numbers[0]}, {', '.join(map(str, numbers[1:4]))}...; "
            "labels here count the lines from 0. Put the lines in order without gaps, or remove "
            "the numbers."
        )
    if numbers[:1] == [1]:
        _logger.warning("%s numbers its classes from 1; labels here count from 0.", path)
    return [_unquoted(name) for _, name in found]


def _without_markers(names: Sequence[str], path: object) -> list[str]:
    markers = [name.strip() for name in names if name.strip() in _NOT_CLASSES]
    if markers:
        _logger.warning(
            "%s: left out %s, which no class is called; for what is none of the classes give "
            "background words (--background).",
            path,
            " and ".join(markers),
        )
    return [name for name in names if name.strip() not in _NOT_CLASSES]


def _from_json(text: str, path: object) -> list[str] | None:
    """Read names from JSON; None for text that only begins like it."""
    try:
        content = parse_json(text)
    except ValueError:
        return None
    if isinstance(content, dict) and isinstance(content.get("id2label"), dict):
        content = content["id2label"]
    if isinstance(content, dict):
        given = cast("dict[str, Any]", content)
        if not all(key.isdigit() for key in given):
            raise InputError(
                f"The classes file {path} holds a JSON object whose keys are not numbers. Give a "
                "list of names, or one class per line."
            )
        found = [(int(key), name) for key, name in given.items()]
    else:
        found = [(None, name) for name in cast("list[Any]", content)]
    if not all(isinstance(name, str) for _, name in found):
        raise InputError(f"The classes file {path} is JSON of other things than names.")
    names = _in_order(found, path)
    _logger.warning("%s is read as JSON; the first class is %r.", path, names[:1])
    return names


def _unquoted(name: str) -> str:
    quoted = _QUOTED.match(name)
    return quoted[2] if quoted else name.strip()


Found = list[tuple[int | None, str]]


def _yaml(lines: Sequence[str]) -> Found | None:
    """Read the block, or the line, behind "names:"."""
    start = next((i for i, line in enumerate(lines) if _YAML_NAMES.match(line)), None)
    if start is None:
        return None
    behind = cast("re.Match[str]", _YAML_NAMES.match(lines[start]))[1].strip()
    if behind.startswith("["):
        return [(None, part) for part in behind.strip("[]").split(",")]
    block: list[str] = []
    for line in lines[start + 1 :]:
        if not line[:1].isspace() and not line.startswith("-"):
            break
        block.append(line)
    return _bullets(block) or _numbers(block)


def _bullets(lines: Sequence[str]) -> Found | None:
    matches = [_BULLET.match(line) for line in lines]
    return [(None, found[1]) for found in matches if found] if _all(matches) else None


def _numbers(lines: Sequence[str]) -> Found | None:
    matches = [_NUMBERED.match(line) for line in lines]
    return [(int(found[1]), found[2]) for found in matches if found] if _all(matches) else None


def _cvat(lines: Sequence[str]) -> Found | None:
    matches = [_CVAT.match(line.strip()) for line in lines]
    return [(None, found[1]) for found in matches if found] if _all(matches) else None


def _quotes(lines: Sequence[str]) -> Found | None:
    matches = [_QUOTED.match(line) for line in lines]
    return [(None, found[2]) for found in matches if found] if _all(matches) else None


def _ade(lines: Sequence[str]) -> Found | None:
    """Read objectInfo150: a table whose column "Name" has synonyms with commas or semicolons."""
    for separator in ("\t", ","):
        header = [cell.strip() for cell in lines[0].split(separator)] if lines else []
        if header[:1] == ["Idx"] and header[-1:] == ["Name"]:
            rows = [line.split(separator, len(header) - 1) for line in lines[1:]]
            return [
                (int(row[0]), "|".join(part.strip(' "') for part in re.split("[;,]", row[-1])))
                for row in rows
                if row[0].strip().isdigit()
            ]
    return None


def _all(matches: Sequence[object]) -> bool:
    return bool(matches) and all(matches)


_READERS: tuple[tuple[str, Callable[[Sequence[str]], Found | None]], ...] = (
    ("ADE20K's table of objects", _ade),
    ("the names in a YAML file", _yaml),
    ("CVAT's label map", _cvat),
    ("a list with numbers before the names", _numbers),
    ("a list with bullets", _bullets),
    ("a list of quoted names", _quotes),
)
