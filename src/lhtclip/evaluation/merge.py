"""Adds up the counts of shards: the sums, and so the measures, are those of a single run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lhtclip.batch.chunks import Shard
from lhtclip.errors import InputError
from lhtclip.evaluation.report import Document, markdown, measured
from lhtclip.evaluation.runner import counts_file, shards_folder
from lhtclip.evaluation.sources import check_unchanged
from lhtclip.evaluation.state import Tally
from lhtclip.files import write_atomically
from lhtclip.files.differences import differences
from lhtclip.files.json_files import read_json

_SAME = ("settings", "protocol", "deviations", "model", "published_images")


@dataclass(frozen=True, slots=True)
class MergedEvaluations:
    """The outcome of a merge.

    Attributes:
        documents: The description of each data set's run, as `lhtclip evaluate` writes it.
        missing: The shards that have not ended, such as "2/4", by data set. Such data sets are not
            merged.
        files: The files written.
    """

    documents: tuple[Document, ...]
    missing: Mapping[str, tuple[str, ...]]
    files: tuple[Path, ...]


def write_part(out: Path, shard: Shard, document: Document) -> Path:
    """Write the description of a shard, which ends it.

    Raises:
        InputError: It cannot be written.
    """
    path = counts_file(out, document["dataset"], shard).with_suffix(".json")
    return write_atomically(path, json.dumps(document).encode())


def merge_evaluations(out: Path) -> MergedEvaluations:
    """Add up the counts of all shards in a folder, and write counts and reports.

    Raises:
        InputError: Shards do not belong together, images or ground truths have changed since, or a
            file cannot be read or written.
    """
    documents: list[Document] = []
    files: list[Path] = []
    missing: dict[str, tuple[str, ...]] = {}
    for folder in sorted(path for path in shards_folder(out).iterdir() if path.is_dir()):
        parts, lacking = _parts_in(folder)
        if lacking:
            missing[folder.name] = tuple(map(str, lacking))
            continue
        document = _merge(out, folder.name, parts)
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        counts = counts_file(out, folder.name)
        files += [counts, write_atomically(out / f"{folder.name}.json", text.encode())]
        documents.append(document)
    if documents:
        files.append(write_atomically(out / "report.md", markdown(documents).encode()))
    return MergedEvaluations(tuple(documents), missing, tuple(files))


def _parts_in(folder: Path) -> tuple[list[Shard], list[Shard]]:
    """Return the shards of the split that is furthest, and those of them that have not ended."""
    found = [
        Shard.parse(path.stem.replace("-of-", "/"))
        for path in folder.iterdir()
        if re.fullmatch(r"\d+-of-\d+\.npz", path.name)
    ]
    ended = {shard for shard in found if _document_file(folder, shard).exists()}
    if not found:
        raise InputError(f"{folder} holds no counts: run the shards again.")
    lacking = {
        count: [each for each in _split(count) if each not in ended]
        for count in sorted({shard.count for shard in found})
    }
    count = min(lacking, key=lambda count: len(lacking[count]))
    return _split(count), lacking[count]


def _split(count: int) -> list[Shard]:
    return [Shard(number, count) for number in range(1, count + 1)]


def _document_file(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.number}-of-{shard.count}.json"


def _merge(out: Path, dataset: str, shards: list[Shard]) -> Document:
    """Add up the counts of a data set, write them, and describe them."""
    documents = [_read(_document_file(shards_folder(out) / dataset, shard)) for shard in shards]
    first = documents[0]
    for document, shard in zip(documents[1:], shards[1:], strict=True):
        changed = differences(
            {name: first[name] for name in _SAME}, {name: document[name] for name in _SAME}
        )
        if changed:
            raise InputError(
                f"The shards {shards[0]} and {shard} of {dataset} had other settings: {changed}. "
                "Choose another folder (--out), and run them with the same ones."
            )
    settings = first["settings"]
    parts = [_counts(counts_file(out, dataset, shard), settings) for shard in shards]
    names = parts[0].confusion.names
    tally = Tally(names, with_trimap=parts[0].trimap is not None)
    keys: list[str] = []
    for part, place in _in_order(parts, settings["chunk"]):
        keys.append(part.keys[place])
        tally.image_iou.append(part.image_iou[place])
        tally.files.append(part.files[place])
        tally.sources.append(part.sources[place])
    if len(set(keys)) != settings["images"]:
        raise InputError(
            f"The shards of {dataset} count {len(set(keys))} images of {settings['images']}: run "
            "them again."
        )
    for part in parts:
        tally.confusion += part.confusion
        if tally.trimap is not None and part.trimap is not None:
            tally.trimap += part.trimap
        tally.seconds += part.seconds
    tally.save(counts_file(out, dataset), keys=keys, settings=settings)
    return first | measured(
        tally.confusion, tally.trimap, images=tally.images, seconds=tally.seconds
    )


def _counts(path: Path, settings: dict[str, Any]) -> Tally:
    """Load the counts of a shard, and look again at what it counted, where that can be reached."""
    tally = Tally.load(path, settings=settings)
    files = [tuple(map(Path, each.split("\n"))) for each in tally.files]
    here = [place for place, each in enumerate(files) if all(file.exists() for file in each)]
    check_unchanged(
        [tally.keys[place] for place in here],
        [files[place] for place in here],
        [tally.sources[place] for place in here],
        remedy=f"Delete {path}, run the shard again, and merge.",
    )
    return tally


def _in_order(parts: list[Tally], chunk: int) -> list[tuple[Tally, int]]:
    """Return the images of all shards, each with its place there, in the order of the data set."""
    placed = [
        (place // chunk, number, place % chunk, part)
        for number, part in enumerate(parts)
        for place in range(part.images)
    ]
    placed.sort(key=lambda each: each[:3])
    return [(part, row * chunk + within) for row, _, within, part in placed]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path)
        if all(name in document for name in _SAME):
            return document
    except (OSError, ValueError, TypeError):
        pass
    raise InputError(f"{path} is not understood: run its shard again.")
