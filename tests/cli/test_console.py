from __future__ import annotations

import io
import logging
import sys

import pytest

from lhtclip.cli.console import Progress, print_table, say, warnings_shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_say_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("first\nsecond")
    assert capsys.readouterr().err == "lhtclip: first second\n"


def test_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "long header"), [("longer", "x")])
    assert capsys.readouterr().out == "a       long header\nlonger  x\n"


def test_progress_of_a_short_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("images") as progress:
        for done in range(1, 6):
            progress(done, 5)
    assert capsys.readouterr().err == "lhtclip: 5/5 images\n"


def test_progress_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("lhtclip.cli.console.time.monotonic", lambda: now[0])
    with Progress("images") as progress:
        for done in range(1, 11):
            now[0] += 4.0
            progress(done, 10)
    assert capsys.readouterr().err.splitlines() == [
        "lhtclip: 3/10 images, 0:28 left",
        "lhtclip: 6/10 images, 0:16 left",
        "lhtclip: 9/10 images, 0:04 left",
        "lhtclip: 10/10 images",
    ]


def test_progress_of_a_resumed_run_counts_its_own_share(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("lhtclip.cli.console.time.monotonic", lambda: now[0])
    with Progress("images") as progress:
        progress(6, 10, already=6)
        now[0] += 10.0
        progress(8, 10, already=6, note="mIoU 12.34")
    assert capsys.readouterr().err == "lhtclip: 8/10 images, mIoU 12.34, 0:10 left\n"


def test_progress_on_a_terminal_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, now = Terminal(), [0.0]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("lhtclip.cli.console.time.monotonic", lambda: now[0])
    with Progress("images") as progress:
        for done in range(1, 4):
            now[0] += 2.0
            progress(done, 3)
    lines = terminal.getvalue().split("\r")
    assert lines[0] == ""
    assert lines[1] == "lhtclip: 1/3 images"
    assert lines[2] == "lhtclip: 2/3 images, 0:02 left"
    assert lines[3].rstrip(" \n") == "lhtclip: 3/3 images"
    assert len(lines[3].rstrip("\n")) == len(lines[2])  # the longer line is covered
    assert terminal.getvalue().count("\n") == 1


def test_progress_without_reports_or_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("images"):
        pass
    with Progress("images", quiet=True) as progress:
        progress(1, 1)
    assert capsys.readouterr().err == ""


def test_progress_leaves_its_line_when_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    def work() -> None:
        with Progress("images") as progress:
            progress(1, 3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert terminal.getvalue() == "\rlhtclip: 1/3 images\n"


def test_warnings_of_the_library_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("lhtclip")
    with warnings_shown():
        logger.warning("No %s here.", "heads")
        logger.info("Nobody asked.")
    logger.handlers.clear()
    assert capsys.readouterr().err == "lhtclip: No heads here.\n"
