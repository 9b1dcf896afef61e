"""Class lists as other programs write them, brought to one class per line.

Known are lines that are numbered, quoted or bulleted, LabelMe's labels.txt, CVAT's labelmap.txt,
ADE20K's objectInfo150.txt, TensorFlow's labelmap.pbtxt, and names in JSON or YAML (`json_classes`),
such as YOLO's data.yaml. What was changed is logged as a warning; tables, markup and other lists
that leave a question are refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence

from lhtclip.errors import InputError
from lhtclip.files.json_files import parse_json
from lhtclip.text.json_classes import INSIDE, Found, json_classes

_NUMBERED = re.compile(r"^\s*\(?(-?\d+)\s*(?:[:\t;=.)]\s*|\s{2,}|,\s*)(\S.*)$")
_COUNTED = re.compile(r"^\s*(\d+)\s+(\S.*)$")
_COUNTED_BEHIND = re.compile(r"^\s*(\S.*?)\s+(\d+)\s*$")
_PBTXT = re.compile(r"""\b(id|name|display_name)\s*:\s*(?:(\d+)|"([^"\n]*)"|'([^'\n]*)')""")
_CVAT = re.compile(r"^([^:]+):([\d,]*|#[0-9a-fA-F]+):[^:]*:[^:]*$")
_YAML = re.compile(rf"^(?:{'|'.join(INSIDE)})\s*:", re.MULTILINE)
_MOST_YAML = 1 << 20  # characters; reading takes about a second
_BULLET = re.compile(r"^\s*[-*•]\s+(.*)$")
_QUOTED = re.compile(r"""^\s*(["'])(.+)\1\s*,?\s*$""")
# What is surely no class, and what to do with it.
_FAULTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), fault)
    for pattern, fault in (
        (r"\S\t+\s*\S", "several columns: keep the names alone"),
        (r";", "a semicolon: write '|' between the prompts of one class"),
        (r"^\s*<|[{}\[\]]\s*$", "markup: write the names alone, one class per line"),
        (r"^\s*(\d+\s+){3}", "numbers before the name: keep the names alone"),
        (r"(\s+\d+){3}\s*$", "numbers after the name: keep the names alone"),
        (r":\s*$", "a colon at its end: keep the names alone"),
        (r"\s#", "a comment: put it on a line of its own"),
        (r"^\s*[-*•]\s", "a bullet, and others do not: keep the names alone"),
        (r"^n\d{8}\b", "an id of WordNet: write its name"),
    )
)
_HEADERS = ("name", "names", "class", "classes", "label", "labels", "category")
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
    names = _from_json(text, path) or _from_yaml(text, path)
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
            lines = _numbered_anew(names)
            _logger.warning("%s is read as %s; the first class is %r.", path, what, names[:1])
            _refuse_faults(lines, path)
            return lines
    _refuse_faults(lines, path)
    if len(contents) > 1 and contents[0].strip().casefold() in _HEADERS:
        _logger.warning(
            "%s: the first class is %r. If that is the header of a column, remove the line.",
            path,
            contents[0].strip(),
        )
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
            "%s: left out %s, which does not name a class; for everything else give background "
            "words (--background).",
            path,
            " and ".join(markers),
        )
    return [name for name in names if name.strip() not in _NOT_CLASSES]


def _refuse_faults(lines: Sequence[tuple[int, str]], path: object) -> None:
    """Refuse what is surely no class: columns, several names in a line, markup."""
    for number, line in lines:
        fault = next((fault for pattern, fault in _FAULTS if pattern.search(line)), None)
        if fault:
            raise InputError(f"Line {number} of {path}, {line[:60]!r}, has {fault}.")
    if lines and all(line.strip().isdigit() for _, line in lines):
        raise InputError(f"{path} holds only numbers: write names, one class per line.")


def _from_json(text: str, path: object) -> list[str] | None:
    """Read names from JSON; None for text that does not begin like it."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        content = parse_json(text)
    except ValueError as error:
        raise InputError(
            f"{path} begins like JSON but cannot be parsed: {error}. Write the names alone, one "
            "class per line."
        ) from error
    return _described(content, path, "JSON")


def _from_yaml(text: str, path: object) -> list[str] | None:
    """Read names from YAML; None for text that has none of the keys that they stand under."""
    if len(text) > _MOST_YAML or not _YAML.search(text):
        return None
    import yaml  # few lists need it, and `--help` should not wait for it

    try:
        content = yaml.load(text, yaml.BaseLoader)  # noqa: S506  # of text alone: no other objects
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(
            f"{path} looks like YAML and cannot be read as such. Write the names alone, one class "
            "per line."
        ) from error
    return _described(content, path, "YAML")


def _described(content: object, path: object, what: str) -> list[str]:
    names = _in_order(json_classes(content, path), path)
    _logger.warning("%s is read as %s; the first class is %r.", path, what, names[:1])
    return names


def _unquoted(name: str) -> str:
    quoted = _QUOTED.match(name)
    return quoted[2] if quoted else name.strip()


def _bullets(lines: Sequence[str]) -> Found | None:
    matches = [_BULLET.match(line) for line in lines]
    return [(None, found[1]) for found in matches if found] if _all(matches) else None


def _numbers(lines: Sequence[str]) -> Found | None:
    matches = [_NUMBERED.match(line) for line in lines]
    return [(int(found[1]), found[2]) for found in matches if found] if _all(matches) else None


def _counted(lines: Sequence[str]) -> Found | None:
    """Read a number and a name, or a name and a number, in lines that are all counted."""
    for pattern, number, name in ((_COUNTED, 1, 2), (_COUNTED_BEHIND, 2, 1)):
        matches = [pattern.match(line) for line in lines]
        found = {each[name]: int(each[number]) for each in matches if each}
        counted = (list(range(len(lines))), list(range(1, len(lines) + 1)))
        if len(lines) > 1 and list(found.values()) in counted:
            return [(number, name) for name, number in found.items()]
    return None


def _pbtxt(lines: Sequence[str]) -> Found | None:
    """Read TensorFlow's items; a name to show comes before the name."""
    if not lines or not re.match(r"^\s*item\s*\{", lines[0]):
        return None
    found: Found = []
    for item in re.split(r"item\s*\{", "\n".join(lines))[1:]:
        fields = {name: number or a or b for name, number, a, b in _PBTXT.findall(item)}
        name = fields.get("display_name", fields.get("name"))
        if name is not None:
            found.append((int(fields["id"]) if "id" in fields else None, name))
    return found


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
    ("TensorFlow's label map", _pbtxt),
    ("CVAT's label map", _cvat),
    ("a list with numbers before the names", _numbers),
    ("a list with a number next to each name", _counted),
    ("a list with bullets", _bullets),
    ("a list of quoted names", _quotes),
)
