"""A folder of results during a run: locked, and cleaned of what killed runs left."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lhtclip.batch.entries import HIDDEN, Entries, Entry
from lhtclip.batch.plan import REMEDY, Job
from lhtclip.batch.record import RECORD_FILE
from lhtclip.errors import InputError
from lhtclip.files import locks
from lhtclip.files.temporaries import remove_all


@contextmanager
def locked(out: Path) -> Generator[None, None, None]:
    """Lock a folder of results, which is created if needed, and removed if it stays empty.

    Raises:
        OutputError: Another run is writing into it.
        InputError: It cannot be written to.
    """
    hidden, existed = out / HIDDEN, out.is_dir()
    busy = f"Another run is writing into {out}. {REMEDY}, or wait for it."
    with ExitStack() as lock:
        lock.enter_context(locks.locked(hidden / "lock", busy=busy))
        try:
            yield
        finally:
            lock.close()
            if not (out / RECORD_FILE).exists():  # the run ended before the first result
                shutil.rmtree(hidden, ignore_errors=True)
                if not existed and not any(out.iterdir()):
                    out.rmdir()


def sweep(out: Path, folders: Iterable[Path]) -> None:
    """Remove half-written files of killed runs from a locked folder and these subfolders."""
    for folder in {out, out / HIDDEN, Entries(out).folder, *folders}:
        if folder.is_dir():
            remove_all(folder)


def remove_results(out: Path, entries: Iterable[Entry]) -> None:
    """Remove images' results and entries; old ones among new ones would look finished.

    Raises:
        InputError: A file cannot be removed.
    """
    known = Entries(out)
    for entry in entries:
        known.remove(entry.name.path)
        for file in entry.files:
            remove(out / file)


def remove(path: Path) -> None:
    """Remove a file that a result will replace.

    Raises:
        InputError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"Cannot replace {path}: {error.strerror or error}.") from error


def folders_of(out: Path, jobs: Iterable[Job]) -> set[Path]:
    """Return the folders of the results of jobs."""
    return {(out / job.name.stem).parent for job in jobs}
