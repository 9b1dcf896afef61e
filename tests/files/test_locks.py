"""Locks: one process at a time, also where the file system has no locks."""

from __future__ import annotations

import errno
from pathlib import Path

import filelock
import pytest

from lhtclip.errors import InputError, OutputError
from lhtclip.files.locks import is_locked, locked


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)


def test_a_lock_is_held_once_and_a_file_that_was_left_is_none(tmp_path: Path) -> None:
    file = tmp_path / "new/lock"
    with locked(file, busy="It is busy."):
        assert is_locked(file)
        with pytest.raises(OutputError, match="It is busy"), locked(file, busy="It is busy."):
            pass
    assert not is_locked(file)
    with locked(file, busy="It is busy."):
        pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOLCK, "No locks available"),
        OSError(errno.EINVAL, "Invalid argument"),
        NotImplementedError("FileSystem does not appear to support flock"),
    ],
)
def test_mounts_without_locks_are_worth_a_warning(
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refuse(monkeypatch, error)
    with locked(tmp_path / "lock", busy="It is busy."):
        assert "has no locks: run one command at a time" in caplog.text
    assert not is_locked(tmp_path / "lock")


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, OSError(errno.EROFS, "Read-only file system"))
    with (
        pytest.raises(InputError, match=r"lock: Read-only file system"),
        locked(tmp_path / "lock", busy="It is busy."),
    ):
        pass
