"""`classes.json` records what label values mean, and prevents mixing different runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from lhtclip import __version__
from lhtclip.batch.plan import REMEDY
from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.files.differences import differences
from lhtclip.files.json_files import MOST_BYTES, parse_json, plain_json
from lhtclip.files.regular_files import read_regular
from lhtclip.formats.sink import Sink
from lhtclip.output.palette import class_colours
from lhtclip.techniques import TECHNIQUES
from lhtclip.text.vocabulary import Vocabulary

RECORD_FILE = "classes.json"
_REMEDY = f"{REMEDY}, or drop what is there (--overwrite)."
_WITHOUT_EFFECT = ("device", "max_pixels", "text_cache")  # settings that do not change labels


def describe(
    vocabulary: Vocabulary, config: Mapping[str, Any], sinks: Mapping[str, Sink]
) -> dict[str, Any]:
    """Describe classes, configuration and formats in JSON types.

    Args:
        vocabulary: The classes.
        config: What decides labels apart from the classes, in JSON types: for `segment` the
            configuration as resolved on this machine.
        sinks: The formats.
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
    formats = {name: sink.settings() for name, sink in sinks.items()}
    content = {
        "lhtclip": __version__,
        "classes": classes,
        "config": config,
        "formats": formats,
    }
    return plain_json(content)


def read_record(out: Path) -> dict[str, Any] | None:
    """Read a folder's record; None if there is none.

    Raises:
        InputError: It cannot be read, or is not a record.
    """
    path = out / RECORD_FILE
    if not path.exists():
        return None
    try:
        content = read_regular(path, most=MOST_BYTES)
    except OSError:
        content = b""
    return parse_record(content, path)


def parse_record(content: bytes, path: str | Path) -> dict[str, Any]:
    """Read the record that a file holds.

    Raises:
        InputError: It is not a record.
    """
    try:
        record = parse_json(content.decode("utf-8-sig"))
        if all(isinstance(record[key], dict) for key in ("config", "formats")):
            return cast("dict[str, Any]", record)
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path} is not understood. {_REMEDY}")


def check_record(out: Path, now: Mapping[str, Any], files: Iterable[Path]) -> None:
    """Check that results may be added to a folder.

    Args:
        out: The folder.
        now: The record of these results.
        files: The files they would become.

    Raises:
        InputError: The folder has results of other classes or settings, or files of unknown origin
            in the way.
    """
    before = read_record(out)
    if before is None:
        for file in files:
            if os.path.lexists(file):  # False for a name that is too long
                raise InputError(f"{file} is there already, but no {RECORD_FILE}. {_REMEDY}")
    else:
        compare_records(out, before, now)


def compare_records(out: str | Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that results of two records can share a folder.

    Raises:
        InputError: They are of other classes or settings.
    """
    if before.get("classes") != now["classes"]:
        raise InputError(f"{out} holds results for other words. {_REMEDY}")
    formats = {name: now["formats"].get(name, old) for name, old in before["formats"].items()}
    for kind, old, new in (
        ("settings", _decisive(before["config"]), _decisive(now["config"])),
        ("settings", _comparable(before.get("settings")), _comparable(now.get("settings"))),
        ("options", before["formats"], formats),
    ):
        if old is not None and new is not None and old != new:
            raise InputError(
                f"{out} holds results of other {kind}: {differences(old, new)}. {_REMEDY}"
            )


def join_formats(before: Mapping[str, Any], record: dict[str, Any]) -> None:
    """Add the formats of an earlier record of the same results to a record."""
    if means_the_same(before, record):
        record["formats"] = before["formats"] | record["formats"]


def means_the_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether results of two records can share a folder."""
    return (
        before.get("classes") == now["classes"]
        and _decisive(before["config"]) == _decisive(now["config"])
        and _comparable(before.get("settings")) in (None, _comparable(now.get("settings")))
    )


def write_record(out: Path, record: Mapping[str, Any]) -> Path:
    """Write `classes.json`.

    Raises:
        InputError: It cannot be written.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    return write_atomically(out / RECORD_FILE, text.encode("utf-8", "backslashreplace"))


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """Drop from a configuration everything that does not change labels."""
    content = {name: value for name, value in config.items() if name not in _WITHOUT_EFFECT}
    if isinstance(content.get("windows"), dict):
        content["windows"] = {k: v for k, v in content["windows"].items() if k != "batch"}
    if isinstance(content.get("preset"), dict):
        content["preset"] = {name: content["preset"].get(name) for name in TECHNIQUES}
    return content


def _comparable(settings: object) -> dict[str, Any] | None:
    """Drop the device: a run may continue elsewhere with the same precision."""
    if not isinstance(settings, dict):
        return None
    return {name: value for name, value in cast("Any", settings).items() if name != "device"}
