"""`classes.json`: what the labels in a folder mean, and that a folder holds one meaning only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lhtclip import __version__
from lhtclip.batch.plan import Job
from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.output.palette import class_colours
from lhtclip.text.vocabulary import Vocabulary

RECORD_FILE = "classes.json"
_COMPARED = ("classes", "settings")
_REMEDY = "Choose another --out, or pass --overwrite."


def describe(vocabulary: Vocabulary, settings: dict[str, Any]) -> dict[str, Any]:
    """Put classes and settings into JSON types.

    Args:
        vocabulary: The classes.
        settings: All that decides labels beside them, in types that JSON knows.
    """
    colours = class_colours(len(vocabulary.names), background=vocabulary.background)
    synonyms: list[list[str]] = [[] for _ in vocabulary.names]
    for query, index in zip(vocabulary.queries, vocabulary.class_of_query, strict=True):
        synonyms[index].append(query)
    classes = [
        {
            "index": index,
            "name": name,
            "synonyms": synonyms[index],
            "colour": f"#{bytes(colours[index]).hex()}",
            "background": index == vocabulary.background,
        }
        for index, name in enumerate(vocabulary.names)
    ]
    content = {"lhtclip": __version__, "classes": classes, "settings": settings}
    return json.loads(json.dumps(content))  # tuples become lists, as in what is read back


def check_record(out: Path, record: dict[str, Any], jobs: Sequence[Job]) -> None:
    """Check that results of `jobs` may join what is in a folder.

    Raises:
        InputError: The folder holds results of other words or settings, or files of unknown origin
            where results would go.
    """
    path = out / RECORD_FILE
    if not path.exists():
        for file in (file for job in jobs for file in job.files):
            if file.exists():
                raise InputError(f"{file} is there already, but no {RECORD_FILE}. {_REMEDY}")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        same = {key: before[key] == record[key] for key in _COMPARED}
        changed = _changed(before["settings"], record["settings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not understood. {_REMEDY}") from error
    if not same["classes"]:
        raise InputError(f"{out} holds results for other words. {_REMEDY}")
    if not same["settings"]:
        raise InputError(f"{out} holds results of other settings: {changed}. {_REMEDY}")


def write_record(out: Path, record: dict[str, Any]) -> Path:
    """Write `classes.json`."""
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    return write_atomically(out / RECORD_FILE, text.encode())


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name)!r}, now {now.get(name)!r}" for name in names)
