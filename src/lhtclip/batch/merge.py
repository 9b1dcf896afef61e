"""Ends a run of several shards: checks every image, and writes the files about the whole run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from lhtclip.batch.chunks import CHUNK
from lhtclip.batch.entries import Entries
from lhtclip.batch.folder import locked, sweep
from lhtclip.batch.prefetch import in_order
from lhtclip.batch.run import Workers
from lhtclip.batch.shards import (
    MANIFEST_FILE,
    Plan,
    ShardState,
    plan_file,
    planned_images,
    read_plan,
    read_states,
)
from lhtclip.batch.writing import assemble
from lhtclip.errors import InputError, check_callback
from lhtclip.files import write_atomically
from lhtclip.files.paths import as_path
from lhtclip.formats import open_sinks
from lhtclip.formats.sink import ImageName

_IN_FLIGHT = 64  # images that are checked at once, or wait for it


@dataclass(slots=True)
class Merged:
    """The outcome of a merge.

    Attributes:
        images: Number of images of the run.
        done: Number of those whose results are whole.
        failed: Why images could not be labelled, by their paths.
        missing: The paths of the images that no shard has labelled yet, or that have changed since.
        shards: The shards to run again for them, such as "2/4"; empty if that is not known.
        files: The manifest and the files about the whole run, which are written once nothing is
            missing.
    """

    images: int
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])
    missing: list[str] = field(default_factory=list[str])
    shards: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def merge_shards(
    out: str | os.PathLike[str], *, on_progress: Callable[[int, int], object] | None = None
) -> Merged:
    """Check the results of all shards of a run, and write the files about the whole run.

    Looks at the images again, where they can be reached, because a changed one needs another label.
    The manifest, `manifest.jsonl`, has a line for each image: whether it is done, has failed and
    why, or is missing.

    Args:
        out: Folder of the results.
        on_progress: Called with the number of images checked and their total.

    Raises:
        OutputError: A shard is still running, or nothing can be written.
        InputError: No shards have run in this folder, or its records are damaged.
    """
    out = as_path("out", out)
    check_callback("on_progress", on_progress)
    plan = read_plan(out)
    if plan is None:
        raise InputError(
            f"{out} holds no run of shards ({plan_file(out)} is missing): run `lhtclip segment "
            "... --shard I/N` into it first."
        )
    with locked(out):
        return merge_locked(out, plan, on_progress=on_progress)


def merge_locked(
    out: Path, plan: Plan, *, on_progress: Callable[[int, int], object] | None = None
) -> Merged:
    """Do the same in a folder that is locked already, with its plan.

    Raises:
        OutputError: Nothing can be written.
    """
    check = _Check(out, plan, on_progress)
    manifest = write_atomically(out / MANIFEST_FILE, check.lines())
    merged = check.merged
    merged.files = (manifest,)
    if not merged.missing:
        sweep(out, check.folders)
        merged.files += tuple(assemble(out, check.sinks))
    return merged


class _Check:
    """Looks at every image of a run, in order."""

    def __init__(
        self, out: Path, plan: Plan, on_progress: Callable[[int, int], object] | None
    ) -> None:
        self.merged = Merged(plan.images)
        self.sinks = open_sinks(plan.formats, plan.vocabulary, plan.options)
        self.folders = {out}
        self._out, self._on_progress = out, on_progress
        self._entries = Entries(out)
        self._states = read_states(out, plan)
        self._reasons = {
            image: reason for state in self._states for image, reason in state.failed.items()
        }

    def lines(self) -> Iterator[bytes]:
        """Check the images, and yield the lines of the manifest."""
        places = set[int]()  # of the missing images
        with Workers() as workers:
            names = planned_images(self._out, self.merged.images)
            futures: Iterator[Future[tuple[ImageName, set[Path] | None]]]
            futures = (workers.submit(self._folders_of, name) for name in names)
            for place, (name, folders) in enumerate(in_order(futures, most=_IN_FLIGHT)):
                image = name.path.as_posix()
                line = {"image": image, "state": "done"}
                if folders is not None:
                    self.merged.done += 1
                    self.folders |= folders
                elif image in self._reasons:
                    reason = self.merged.failed[image] = self._reasons[image]
                    line = {"image": image, "state": "failed", "reason": reason}
                else:
                    self.merged.missing.append(image)
                    places.add(place)
                    line["state"] = "missing"
                if self._on_progress:
                    self._on_progress(place + 1, self.merged.images)
                yield json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        self.merged.shards = tuple(_shards_of(places, self._states))

    def _folders_of(self, name: ImageName) -> tuple[ImageName, set[Path] | None]:
        """Return the folders of an image's results; None if they are not whole or of today."""
        entry = self._entries.read(name.path)
        if entry is None or not entry.has(name, self.sinks):
            return name, None
        if not (entry.is_whole(self._out) and entry.is_of_today()):
            return name, None
        return name, {(self._out / file).parent for file in entry.files}


def _shards_of(places: set[int], states: list[ShardState]) -> list[str]:
    """Name the shards that have these images; nothing if the shards of several splits have run."""
    counts = {state.shard.count for state in states}
    if len(counts) != 1:
        return []
    (count,) = counts
    return [f"{number + 1}/{count}" for number in sorted({p // CHUNK % count for p in places})]
