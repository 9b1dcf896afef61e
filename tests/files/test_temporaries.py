"""Half-written files: removed after failures, and at the next start after a kill."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from lhtclip.errors import InputError, OutputError
from lhtclip.files import temporaries, write_atomically
from lhtclip.files.temporaries import remove_all, temporary_beside


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def parts():
        yield b"half"
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        write_atomically(tmp_path / "file", parts())
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="Cannot write"):
        write_atomically(tmp_path / "folder", b"content")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_mount_that_cannot_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    def fill_up(_: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    monkeypatch.setattr(shutil, "copyfile", fill_up)
    with pytest.raises(OutputError, match="No space left"):
        write_atomically(tmp_path / "other", b"content")
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    child = os.fork() if hasattr(os, "fork") else pytest.skip("needs a fork")
    if child == 0:
        with temporary_beside(tmp_path / "file") as half:
            half.write_bytes(b"half")
            os._exit(0)  # without the end of the `with`, as a kill
    os.waitpid(child, 0)
    (tmp_path / ".lhtclip-00000000-1-00").write_bytes(b"of another machine")
    assert len(os.listdir(tmp_path)) == 2
    write_atomically(tmp_path / "file", b"whole")
    assert sorted(os.listdir(tmp_path)) == [".lhtclip-00000000-1-00", "file"]
    remove_all(tmp_path)
    assert os.listdir(tmp_path) == ["file"]


def test_what_living_processes_write_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_beside(tmp_path / "one") as half:
        half.write_bytes(b"half")
        monkeypatch.setattr(temporaries, "_searched", set())
        write_atomically(tmp_path / "other", b"whole")
        assert half.is_file()
    assert os.listdir(tmp_path) == ["other"]


def test_a_sudden_end_takes_folders_along(tmp_path: Path) -> None:
    with temporary_beside(tmp_path / "graph", suffix=".d") as folder:
        (folder / "inner").mkdir(parents=True)
        temporaries.remove_own()
        assert os.listdir(tmp_path) == []
