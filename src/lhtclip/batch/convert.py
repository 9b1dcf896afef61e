"""Label PNGs that exist already become any format: ours, or any palette or greyscale ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lhtclip.batch.entries import Digest, Entries, Entry
from lhtclip.batch.folder import locked, remove_results, sweep
from lhtclip.batch.label_pngs import (
    LabelFile,
    check_not_binary,
    find_label_files,
    load_labels,
    vocabulary_of,
)
from lhtclip.batch.plan import REMEDY, Job, check_case, check_folder
from lhtclip.batch.record import check_record, describe, read_record, write_record
from lhtclip.batch.writing import Writer, assemble
from lhtclip.errors import (
    InputError,
    OutputError,
    check_callback,
    check_choice,
    check_kind,
    reason_of,
)
from lhtclip.files.paths import as_path
from lhtclip.formats import open_sinks
from lhtclip.formats.sink import OutputOptions, Sink


def convert_files(
    results: str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: str | Sequence[str],
    *,
    names: Sequence[str] | None = None,
    background: str | None = None,
    first_index: int = 0,
    images: str | os.PathLike[str] | None = None,
    options: OutputOptions | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    on_error: Callable[[Path, InputError], object] | None = None,
) -> list[Path]:
    """Write label PNGs in other formats; call it again to continue an interrupted conversion.

    Scores, which such files do not hold, count as 1. What exists already, made from the same bytes
    with the same options, is not written again. Files about the whole run cover all images that
    were converted into the folder.

    Args:
        results: A folder of results of ours, or of label PNGs with or without subfolders.
        out: Folder of the files written; its `classes.json` says what the labels mean.
        formats: Names in `lhtclip.formats.SINKS`.
        names: The classes in the order of their indices; by default those of `classes.json` or
            inside the PNG files.
        background: The class that is "none of the others".
        first_index: Value of the first class in PNG files of others, 0 or 1; with 1 the value 0
            means "ignored".
        images: Folder of the images. Formats with pictures in them need it; others take from it
            what the images are called.
        options: How files are wanted.
        overwrite: Drop what was converted into the folder before.
        on_progress: Called with the number of label files done, and the total.
        on_error: Called with a label file that cannot be converted and the reason, instead of
            raising it; the others are converted.

    Returns:
        The files of all label files, and those about the whole run.

    Raises:
        InputError: Something cannot be read, written or understood, or the folder holds results of
            other classes or options.
        OutputError: Another run is writing into the folder.
    """
    folder, target = as_path("results", results), as_path("out", out)
    pictures = None if images is None else as_path("images", images)
    check_kind("names", names, Sequence, type(None))
    check_choice("first_index", first_index, (0, 1))
    check_kind("overwrite", overwrite, bool)
    check_callback("on_error", on_error)
    check_folder(target)
    if os.path.abspath(folder) == os.path.abspath(target):
        raise InputError(f"The labels and the files made from them would share {out}. {REMEDY}.")
    files = find_label_files(folder, images=pictures)
    vocabulary = vocabulary_of(folder, files, names, background)
    if names is not None and len(names) > 1:
        check_not_binary(folder, files)
    sinks = open_sinks(formats, vocabulary, options)
    record = describe(vocabulary, {"labels_from": first_index}, sinks)
    writer = Writer(target, sinks)
    with locked(target):
        _prepare(target, record, writer, files, sinks, overwrite=overwrite)
        written: list[Path] = []
        recorded, converted = False, 0
        before = _Before(target)
        for count, file in enumerate(files, start=1):
            job = Job(file.path, file.name)
            try:
                digest, picture, entry = before.state_of(file)
                if not (entry and entry.has(file.name, sinks) and entry.is_whole(target)):
                    result = load_labels(file, vocabulary, first_index)
                    recorded = recorded or bool(write_record(target, record))
                    # Nothing was labelled in chunks here: the image's digest takes that place.
                    seen = picture or (entry.chunk if entry else "")
                    outcome = writer.write(job, digest, seen, result)
                    if outcome.error is not None:
                        raise InputError(outcome.error)
            except OutputError:
                raise
            except InputError as error:
                if on_error is None:
                    raise
                on_error(file.path, error)
                continue
            converted += 1
            written += [path for paths in writer.files_of(job).values() for path in paths]
            on_progress(count, len(files))
        return written + list(assemble(target, sinks)) if converted else []


def _prepare(
    out: Path,
    record: dict[str, Any],
    writer: Writer,
    files: Sequence[LabelFile],
    sinks: Mapping[str, Sink],
    *,
    overwrite: bool,
) -> None:
    """Check that the files may be added to a locked folder, whose other formats stay recorded."""
    jobs = [Job(file.path, file.name) for file in files]
    check_case(jobs, out)
    paths = {path for job in jobs for own in writer.files_of(job).values() for path in own}
    sweep(out, {path.parent for path in paths})
    if overwrite:
        remove_results(out, list(Entries(out)))
    else:
        whole = {out / file for sink in sinks.values() for file in sink.run_files()}
        check_record(out, record, paths | whole)
        before = read_record(out)
        record["formats"] = (before["formats"] if before else {}) | record["formats"]


class _Before:
    """What was converted into a folder before."""

    def __init__(self, out: Path) -> None:
        self._out, self._entries = out, Entries(out)
        self._known = {entry.stem: entry.name for entry in self._entries}

    def state_of(self, file: LabelFile) -> tuple[Digest, str, Entry | None]:
        """Return a file's digest, its image's, and its entry if it is up to date.

        Results of a file that has changed, or whose image has or has another name now, are removed.

        Raises:
            InputError: A file cannot be read, or old results cannot be removed.
        """
        digest, picture = _digest(file.path), _digest(file.image).sha256 if file.image else ""
        name = self._known.get(file.name.stem.as_posix())
        entry = self._entries.read(name.path) if name else None
        if entry and not (
            (entry.name, entry.digest) == (file.name, digest)
            and ("" in (entry.chunk, picture) or entry.chunk == picture)
        ):
            remove_results(self._out, [entry])
            entry = None
        return digest, picture, entry


def _digest(path: Path) -> Digest:
    try:
        return Digest.of_file(path)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {reason_of(error)}.") from error
