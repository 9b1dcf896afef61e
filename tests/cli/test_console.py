from __future__ import annotations

import io
import logging
import sys
import time

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


def test_progress_of_a_short_run_off_a_terminal_is_silent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("images") as progress:
        progress(1, 2)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("progress_shown")
def test_progress_shows_number_rate_and_note(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("images") as progress:
        progress(6, 10, already=6)
        progress(8, 10, already=6, note="mIoU 12.34")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("\rlhtclip: images")
    assert "8/10 [" in err
    assert "/s, mIoU 12.34]" in err


@pytest.mark.usefixtures("progress_shown")
def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("images", quiet=True) as progress:
        progress(1, 1)
    assert capsys.readouterr().err == ""


def test_progress_without_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Progress("images") as progress:
        progress(1, 1)


def test_progress_on_a_terminal_ends_its_line_when_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    def work() -> None:
        with Progress("images") as progress:
            time.sleep(0.12)
            progress(1, 3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "1/3" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")


def test_warnings_of_the_library_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("lhtclip")
    with warnings_shown():
        logger.warning("No %s here.", "heads")
        logger.info("Nobody asked.")
    logger.handlers.clear()
    assert capsys.readouterr().err == "lhtclip: No heads here.\n"
