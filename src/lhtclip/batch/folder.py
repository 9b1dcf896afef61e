"""A folder of results during a run: locked, and cleaned of what killed runs left."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from logging import getLogger
from pathlib import Path

from lhtclip.batch.chunks import Shard
from lhtclip.batch.entries import Entries, Entry
from lhtclip.batch.plan import REMEDY, Job
from lhtclip.batch.record import RECORD_FILE
from lhtclip.batch.shards import (
    MANIFEST_FILE,
    Plan,
    lock_file,
    plan_file,
    read_plan,
    shards_folder,
    write_plan,
)
from lhtclip.errors import InputError, OutputError, reason_of
from lhtclip.files import locks
from lhtclip.files.temporaries import remove_all
from lhtclip.image.files import HIDDEN

_PATIENCE = 60.0  # seconds in which other shards may start
_logger = getLogger("lhtclip")


@contextmanager
def locked(out: Path) -> Generator[None, None, None]:
    """Lock a folder of results, which is created if needed, and removed if it stays empty.

    Raises:
        OutputError: Another run, or a shard of one, is writing into it.
        InputError: It cannot be written to.
    """
    hidden, existed = out / HIDDEN, out.is_dir()
    with ExitStack() as lock:
        lock.enter_context(locks.locked(hidden / "lock", busy=_busy(out, "Another run")))
        try:
            if running := _running(out):
                raise OutputError(_busy(out, f"The shard {running}"))
            yield
        finally:
            lock.close()
            if not ((out / RECORD_FILE).exists() or plan_file(out).exists()):
                # the run ended before the first result
                with suppress(OSError):  # there may be counts of `lhtclip evaluate`
                    (hidden / "lock").unlink()
                    hidden.rmdir()
                if not existed and not any(out.iterdir()):
                    out.rmdir()


@contextmanager
def joined(out: Path, shard: Shard, plan: Plan, jobs: Sequence[Job]) -> Generator[None, None, None]:
    """Join the run of a folder as one of its shards, which write at the same time.

    Raises:
        OutputError: The same shard is running already, or a run that is no shard, or shards of
            another run.
        InputError: The folder cannot be written to.
    """
    whole, own = out / HIDDEN / "lock", lock_file(out, shard)
    twice = f"The shard {shard} is writing into {out} already: wait for it."
    with ExitStack() as stack:
        with locks.locked(whole, busy=_busy(out, "Another run"), patience=_PATIENCE):
            _settle(out, plan, jobs)
            stack.enter_context(locks.locked(own, busy=twice))
        yield


def forget_shards(out: Path) -> None:
    """Remove what shards and merges left in a locked folder, for a run that is no shard."""
    for path in (plan_file(out), out / MANIFEST_FILE):
        path.unlink(missing_ok=True)
    shutil.rmtree(shards_folder(out), ignore_errors=True)


def sweep(out: Path, folders: Iterable[Path]) -> None:
    """Remove half-written files of killed runs from a locked folder and these subfolders."""
    for folder in {out, out / HIDDEN, Entries(out).folder, shards_folder(out), *folders}:
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
        raise InputError(f"Cannot replace {path}: {reason_of(error)}.") from error


def folders_of(out: Path, jobs: Iterable[Job]) -> set[Path]:
    """Return the folders of the results of jobs."""
    return {(out / job.name.stem).parent for job in jobs}


def _settle(out: Path, plan: Plan, jobs: Sequence[Job]) -> None:
    """Agree on the plan with the other shards, or replace the plan of shards that have ended."""
    before = read_plan(out)
    if before == plan:
        return
    if before and (running := _running(out)):
        raise OutputError(
            f"The shard {running} of another run is writing into {out}: that run has "
            f"{before.images} images and this one {plan.images}, or their classes or formats "
            "differ. Wait for it, or choose another output folder (--out)."
        )
    if before:
        _logger.warning(
            "%s was planned for %d images, now for %d, or other classes or formats: run all "
            "shards again.",
            out,
            before.images,
            plan.images,
        )
    write_plan(out, plan, jobs)


def _running(out: Path) -> str | None:
    """Return a shard that is running, such as "1-of-4"."""
    files = sorted(shards_folder(out).glob("*.lock"))
    return next((file.stem for file in files if locks.is_locked(file)), None)


def _busy(out: Path, who: str) -> str:
    return f"{who} is writing into {out}. {REMEDY}, or wait for it."
